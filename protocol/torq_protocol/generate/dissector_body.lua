
-- What follows is the same whatever the tables above say.

local torq = Proto("torq", "Torq Protocol V2")
local torq_tcp = Proto("torq_tcp", "Torq Protocol V2 over TCP")

torq.prefs.verify = Pref.bool("Verify checksums", true, "A checksum of 0 was not computed and is never wrong (D9)")
torq.prefs.max_size = Pref.uint("Maximum message size", MAX_MESSAGE_SIZE, "Bytes, header included (D10)")
torq.prefs.user_dlt = Pref.uint("User DLT", 0, "Captures of Unix sockets: link type USER0 to USER15; 16 for none")
torq_tcp.prefs.ports = Pref.range("TCP ports", tostring(DEFAULT_TCP_PORT), "Ports that carry the protocol", 65535)

-- Fields and errors

local fields, experts = {}, {}

local makers = {
  u8 = ProtoField.uint8, u16 = ProtoField.uint16, u32 = ProtoField.uint32, u64 = ProtoField.uint64,
  i32 = ProtoField.int32, i64 = ProtoField.int64,
}

local function declare(prefix, field)
  local abbreviation = prefix .. "." .. field.name
  local maker = makers[field.type]
  if maker then
    local names = field.names and NAMES[field.names] or nil
    field.proto = maker(abbreviation, field.name, field.hex and base.HEX or base.DEC, names)
  elseif field.type == "u128" or field.type == "u256" then
    field.proto = ProtoField.string(abbreviation, field.name)
  elseif RECORDS[field.type] then
    field.proto = ProtoField.none(abbreviation, field.name)
    field.parts = {}
    for index, part in ipairs(RECORDS[field.type]) do
      local copy = {}
      for key, value in pairs(part) do copy[key] = value end
      field.parts[index] = copy
      declare(abbreviation, copy)
    end
  else
    field.proto = ProtoField.bytes(abbreviation, field.name)
  end
  fields[#fields + 1] = field.proto
end

for _, field in ipairs(HEADER) do declare("torq", field) end
for _, payload in pairs(PAYLOADS) do
  for _, field in ipairs(payload.fields) do declare("torq." .. payload.filter, field) end
end
local tlv_type = ProtoField.uint8("torq.tlv.type", "type", base.DEC, NAMES.tlv_type)
local tlv_length = ProtoField.uint16("torq.tlv.length", "length", base.DEC)
local tlv_extended = ProtoField.bool("torq.tlv.extended", "extended form")
local tlv_value = ProtoField.bytes("torq.tlv.value", "value")
for _, field in ipairs({ tlv_type, tlv_length, tlv_extended, tlv_value }) do fields[#fields + 1] = field end
torq.fields = fields

for kind, sentence in pairs(ERRORS) do
  local group = kind == "bad_checksum" and expert.group.CHECKSUM or expert.group.MALFORMED
  experts[kind] = ProtoExpert.new("torq.error." .. kind, sentence, group, expert.severity.ERROR)
end
local all_experts = {}
for _, each in pairs(experts) do all_experts[#all_experts + 1] = each end
torq.experts = all_experts

-- Numbers

local bxor, band, rshift
if bit then
  bxor, band, rshift = bit.bxor, bit.band, bit.rshift
elseif bit32 then
  bxor, band, rshift = bit32.bxor, bit32.band, bit32.rshift
else
  local source = "return function(a, b) return a ~ b end, function(a, b) return a & b end, "
    .. "function(a, n) return (a & 0xffffffff) >> n end"
  bxor, band, rshift = load(source)()
end

local crc_table = {}
for byte = 0, 255 do
  local crc = byte
  for _ = 1, 8 do
    if band(crc, 1) == 1 then crc = bxor(rshift(crc, 1), 0xEDB88320) else crc = rshift(crc, 1) end
  end
  crc_table[byte] = crc
end

-- CRC-32 of bytes 0 to 27 and 32 to the end (D9).
local function checksum_of(bytes)
  local crc = 0xFFFFFFFF
  for index = 1, #bytes do
    if index <= 28 or index > 32 then
      crc = bxor(rshift(crc, 8), crc_table[band(bxor(crc, bytes:byte(index)), 255)])
    end
  end
  return bxor(crc, 0xFFFFFFFF) % 0x100000000
end

-- Little-endian bytes as a decimal number of any length.
local function decimal_of(bytes)
  local digits = { 0 }
  for index = #bytes, 1, -1 do
    local carry = bytes:byte(index)
    for place = 1, #digits do
      local value = digits[place] * 256 + carry
      digits[place] = value % 10000000
      carry = math.floor(value / 10000000)
    end
    while carry > 0 do
      digits[#digits + 1] = carry % 10000000
      carry = math.floor(carry / 10000000)
    end
  end
  local text = string.format("%d", digits[#digits])
  for place = #digits - 1, 1, -1 do text = text .. string.format("%07d", digits[place]) end
  return text
end

-- "4512350000000" units of 1e-8 as "45123.50000000".
local function fixed_8(units)
  local sign, digits = units:match("^(-?)(%d+)$")
  digits = string.rep("0", 9 - #digits) .. digits
  return sign .. digits:sub(1, -9) .. "." .. digits:sub(-8)
end

local function time_of(nanoseconds)
  local seconds = nanoseconds / UInt64(1000000000)
  local rest = nanoseconds % UInt64(1000000000)
  return os.date("!%Y-%m-%d %H:%M:%S", seconds:tonumber()) .. string.format(".%09d UTC", rest:tonumber())
end

-- Adding fields to the tree

local add_fields

local function add_field(tree, payload, field)
  if field.repeat_count then
    local count = payload(field.count_at, 2):le_uint()
    if count < field.least or count > field.repeat_count then
      tree:add_proto_expert_info(experts.bad_value, "a count of " .. count)
      return
    end
    for index = 0, count - 1 do
      local slot = payload(field.offset + index * field.size, field.size)
      if field.parts then
        local item = tree:add(field.proto, slot)
        item:set_text(field.name .. "[" .. index .. "]")
        add_fields(item, slot:tvb(), field.parts)
      else
        tree:add(field.proto, slot, decimal_of(slot:raw()))
      end
    end
    return
  end
  local range = field.size and payload(field.offset, field.size) or nil
  if not range then
    if payload:len() > field.offset then tree:add(field.proto, payload(field.offset)) end
  elseif field.type == "u128" or field.type == "u256" then
    local item = tree:add(field.proto, range, decimal_of(range:raw()))
    if range:len() > 16 and range:raw():sub(17):find("[^%z]") then
      item:add_proto_expert_info(experts.bad_value, field.name .. " of more than 128 bits")
    end
  elseif makers[field.type] then
    local item = tree:add_le(field.proto, range)
    if field.scale then item:append_text(" (" .. fixed_8(tostring(range:le_int64())) .. ")") end
    if field.time then item:append_text(" (" .. time_of(range:le_uint64()) .. ")") end
    if field.closed and not NAMES[field.names][range:le_uint()] then
      item:add_proto_expert_info(experts.bad_value, field.name .. " " .. range:le_uint())
    end
    if field.highest and (range:le_uint() < field.lowest or range:le_uint() > field.highest) then
      item:add_proto_expert_info(experts.bad_value, field.name .. " " .. range:le_uint())
    end
    return item
  else
    local item = tree:add(field.proto, range)
    if field.marker and range:raw() ~= field.marker then
      item:add_proto_expert_info(experts.bad_value, field.name .. " is not " .. field.marker)
    end
  end
end

add_fields = function(tree, payload, list)
  for _, field in ipairs(list) do add_field(tree, payload, field) end
end

-- TLVs

local function add_payload(tree, payload, number)
  local known = PAYLOADS[number]
  local sizes = SIZES[number]
  if sizes and (payload:len() < sizes[1] or payload:len() > sizes[2]) then
    tree:add_proto_expert_info(experts.bad_tlv_size, payload:len() .. " bytes, " .. sizes[1] .. " to " .. sizes[2])
    if payload:len() > 0 then tree:add(tlv_value, payload()) end
  elseif known then
    add_fields(tree, payload, known.fields)
  elseif payload:len() > 0 then
    tree:add(tlv_value, payload())
  end
end

-- One TLV; returns the offset behind it, or nil and the kind of its fault.
local function add_tlv(tvb, tree, offset, names)
  local left = tvb:len() - offset
  local extended = tvb(offset, 1):uint() == 255
  local head = extended and 5 or 2
  if left < head then return nil, "truncated_tlv_header" end
  if extended and tvb(offset + 1, 1):uint() ~= 0 then return nil, "bad_reserved_byte" end
  local type_range = tvb(offset + (extended and 2 or 0), 1)
  local number = type_range:uint()
  if extended and (number == 0 or number == 255) then return nil, "bad_extended_type" end
  local length_range = extended and tvb(offset + 3, 2) or tvb(offset + 1, 1)
  local length = length_range:le_uint()
  if length > left - head then return nil, "truncated_tlv" end
  local name = NAMES.tlv_type[number] or "type"
  names[#names + 1] = NAMES.tlv_type[number] or ("type " .. number)
  local item = tree:add(torq, tvb(offset, head + length), name .. " (" .. number .. "), " .. length .. " bytes")
  item:add(tlv_type, type_range)
  item:add_le(tlv_length, length_range)
  item:add(tlv_extended, tvb(offset, 1), extended)
  if length > 0 then
    add_payload(item, tvb(offset + head, length):tvb(), number)
  elseif SIZES[number] and SIZES[number][1] > 0 then
    item:add_proto_expert_info(experts.bad_tlv_size, "no bytes")
  end
  return offset + head + length
end

-- Messages

-- One whole message.
local function add_message(tvb, pinfo, tree)
  pinfo.cols.protocol = "Torq"
  local domain, source = tvb(4, 1):uint(), tvb(6, 1):uint()
  local item = tree:add(torq, tvb(), "Torq Protocol V2, sequence " .. tostring(tvb(8, 8):le_uint64()))
  local stored = tvb(28, 4):le_uint()
  for _, field in ipairs(HEADER) do
    local shown = add_field(item, tvb, field)
    if field.name == "checksum" and stored == 0 then shown:append_text(" (not computed)") end
  end
  if domain < 1 or domain > 4 then item:add_proto_expert_info(experts.bad_domain) end
  if torq.prefs.verify and stored ~= 0 then
    local computed = checksum_of(tvb():raw())
    if computed ~= stored then
      item:add_proto_expert_info(experts.bad_checksum, string.format("the checksum is not 0x%08x", computed))
    end
  end
  local names, offset, fault = {}, HEADER_SIZE, nil
  while offset and offset < tvb:len() do
    local start = offset
    offset, fault = add_tlv(tvb, item, offset, names)
    if fault then item:add_proto_expert_info(experts[fault], ERRORS[fault] .. ", offset " .. start) end
  end
  local info = (NAMES.domain[domain] or ("domain " .. domain)) .. " #" .. tostring(tvb(8, 8):le_uint64()) .. " from "
    .. (NAMES.source[source] or ("source " .. source)) .. ": "
    .. (#names > 0 and table.concat(names, ", ") or "no TLVs") .. (fault and " [malformed]" or "")
  if tostring(pinfo.cols.info):find("^Torq") or tostring(pinfo.cols.info):find(" from ") then
    pinfo.cols.info:append("; " .. info)
  else
    pinfo.cols.info = info
  end
  return tvb:len()
end

local function starts_message(tvb, offset)
  return tvb:len() - offset >= 4 and tvb(offset, 4):le_uint() == MAGIC
end

-- Bytes that begin no message: all that is left cannot be cut into messages.
local function add_refused(tvb, pinfo, tree, kind)
  pinfo.cols.protocol = "Torq"
  pinfo.cols.info:append(" [" .. ERRORS[kind] .. "]")
  tree:add(torq, tvb(), "Torq Protocol V2, no message"):add_proto_expert_info(experts[kind])
  return tvb:len()
end

-- The size of the message at an offset, or nil and why there is none.
local function message_size(tvb, offset)
  if not starts_message(tvb, offset) then return nil, "bad_magic" end
  local size = HEADER_SIZE + tvb(offset + 24, 4):le_uint()
  if size > torq.prefs.max_size then return nil, "oversize" end
  return size
end

-- A packet of one or more messages: Unix socket captures.
function torq.dissector(tvb, pinfo, tree)
  pinfo.cols.info:clear()
  local offset = 0
  while offset < tvb:len() do
    local rest = tvb(offset):tvb()
    if rest:len() < HEADER_SIZE then return offset + add_refused(rest, pinfo, tree, "truncated_header") end
    local size, fault = message_size(rest, 0)
    if not size then return offset + add_refused(rest, pinfo, tree, fault) end
    if size > rest:len() then return offset + add_refused(rest, pinfo, tree, "truncated_payload") end
    add_message(rest(0, size):tvb(), pinfo, tree)
    offset = offset + size
  end
  return offset
end

-- TCP: messages are put together from segments.
local function dissect_stream(tvb, pinfo, tree)
  pinfo.cols.info:clear()
  dissect_tcp_pdus(tvb, tree, HEADER_SIZE, function(buffer, _, offset)
    return message_size(buffer, offset) or (buffer:len() - offset)
  end, function(buffer, info, parent)
    local size, fault = message_size(buffer, 0)
    if not size then return add_refused(buffer, info, parent, fault) end
    return add_message(buffer, info, parent)
  end)
  return tvb:len()
end

torq_tcp.dissector = dissect_stream

-- A call through the protocol would take away the right to ask for more segments, so the function is called itself.
torq_tcp:register_heuristic("tcp", function(tvb, pinfo, tree)
  if tvb:len() < HEADER_SIZE or not starts_message(tvb, 0) then return false end
  pinfo.conversation = torq_tcp
  dissect_stream(tvb, pinfo, tree)
  return true
end)

-- Where it is used

local tcp_table, link_table = DissectorTable.get("tcp.port"), DissectorTable.get("wtap_encap")
local link_types = wtap_encaps or wtap
local ports, link

local function register_ports()
  if ports then tcp_table:remove(ports, torq_tcp) end
  ports = torq_tcp.prefs.ports
  tcp_table:add(ports, torq_tcp)
end

local function register_link()
  if link then link_table:remove(link, torq) end
  link = torq.prefs.user_dlt < 16 and link_types["USER" .. torq.prefs.user_dlt] or nil
  if link then link_table:add(link, torq) end
end

torq_tcp.prefs_changed = register_ports
torq.prefs_changed = register_link
register_ports()
register_link()

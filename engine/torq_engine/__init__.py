"""The generic relay: hub, sockets, policies and operations, for any domain that brings a RelayLogic."""

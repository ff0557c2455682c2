package stack

import (
	"reflect"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
)

// sequences are the sequence numbers and the timestamp of a connection.
type sequences struct {
	sndUna, sndNxt, rcvNxt uint32
	recentTimestamp        uint32 // the peer's
	hasTimestamps          bool
}

// sequencesOf reads them, and reports false before the end of the handshake.
//
// Netstack exports these fields only to a probe, which it would call for each received segment with a copy of the whole connection. They
// are therefore read by name, under the lock that guards them; TestSequences fails if the names change. This happens for ICMP errors,
// and for SYNs of connections in TIME-WAIT.
func sequencesOf(c *tcp.Endpoint) (s sequences, ok bool) {
	c.LockUser()
	defer c.UnlockUser()
	fields := reflect.ValueOf(c).Elem()
	sender, receiver := fields.FieldByName("snd"), fields.FieldByName("rcv")
	if sender.IsNil() || receiver.IsNil() {
		return s, false
	}
	read := func(part reflect.Value, name string) uint32 { return uint32(part.Elem().FieldByName(name).Uint()) }
	return sequences{
		sndUna: read(sender, "SndUna"), sndNxt: read(sender, "SndNxt"), rcvNxt: read(receiver, "RcvNxt"),
		recentTimestamp: c.RecentTS, hasTimestamps: c.SendTSOk,
	}, true
}

// timestampOf returns the peer's latest timestamp. It reports false if the connection has none.
func timestampOf(c *tcp.Endpoint) (uint32, bool) {
	c.LockUser()
	defer c.UnlockUser()
	return c.RecentTS, c.SendTSOk
}

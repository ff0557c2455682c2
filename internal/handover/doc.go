// Package handover defines the JSON that one switch passes to the switch that replaces it: forwarding tables, counters, held frames and
// the state of sockets. It contains data types only, and no behaviour beyond the text form of a MAC.
//
// vswitch fills these types in and reads them back (Bridge.State, Bridge.Resume and their counterparts on Delegate and Counters), and so
// does unixport (StateOf, Socket.Resume); pod/dataplane puts them into the snapshot that it sends.
//
// The clocks of the two processes differ. A state therefore contains no points in time, only ages: nanoseconds between an event and
// the moment at which the state was made. Names of fields are part of the protocol between the two processes; a change of a
// name or of a meaning needs a new version of that protocol (pod/grant).
package handover

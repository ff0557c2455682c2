// Package vswitch is the switch itself: ports, tables, the two forwarders, neighbours, drops and counters.
//
// A Switch runs one loop per port: receive a batch, let the Forwarder decide, transmit. It runs where the port says (Server), or in
// a goroutine of its own. A Forwarder is a pure function of frames, tables and the time that it is given; the package has no
// file descriptors, no netstack and no clock of its own, so the whole switch runs in a unit test or a fuzz target without a device.
//
// Tables are read without locks and written only on change. For a frame between known stations or neighbours there is no
// channel, no lock, no allocation, no clock read and no log line; a lock is taken to learn a station, to ask for a neighbour,
// and ten times a second to note that the guest uses the pod address.
//
// What a forwarder has learned goes to the process that takes its place as a state (state.go).
package vswitch

// Package vswitch is an Ethernet switch in user space: ports, forwarders, neighbour resolution, counters and drop reasons.
//
// A learning switch between two ports:
//
//	bridge := vswitch.NewBridge(vswitch.BridgeConfig{Ports: 2})
//	start := time.Now()
//	clock := func() time.Duration { return time.Since(start) }
//	err := vswitch.New(bridge, clock, left, right).Run(ctx)
//
// A Port connects a Switch to one attachment; packages tap, unixport and stack have ports for devices, sockets and a network stack.
// A Forwarder decides where frames go. There are two:
//
//   - Bridge is a learning switch.
//   - Delegate moves a pod's IPv4 and IPv6 addresses to a virtual machine: it answers the guest's ARP and neighbour discovery, routes its packets by the pod's routes,
//     and resolves next hops on the wire.
//
// A Switch runs one loop for each port: receive a batch, forward it, transmit the result. The loop runs in a goroutine, or in the
// thread that the port chooses (ThreadRunner). A Forwarder is a function of frames, tables and the time that it is given. The
// package uses no file descriptors and reads no clock, so that a complete switch runs in a unit test (package vswitchtest has a
// port in memory).
//
// # Cost of a frame
//
// Tables are read without locks and written only on change. A frame between known stations or neighbours causes no channel operation,
// lock, allocation, clock read or log line. Locks are taken to learn a station, to resolve a neighbour, and ten times a second to
// record that the guest uses the pod address.
//
// # Byte order and units
//
// Addresses, MACs and frames are in network byte order, offload headers (vnet.Header) are numbers. Sizes are bytes. Times are
// durations on the clock that was passed to New.
//
// Methods named State and Resume, with types of an internal package, serve the takeover of one podswitch process by another. They are
// not part of the promised interface.
package vswitch

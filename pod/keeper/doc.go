// Package keeper is the privileged process of podswitch: it may change the pod's interface, and never touches a frame.
//
// A keeper resolves the plan, opens all devices and sockets, and passes their descriptors to a switch, an unprivileged process. It
// takes the address when the switch has built its ports, and gives it back when the switch has been asked to end, or when the switch has
// ended unasked and no other one has continued within the hold time. In between it does what the switch has no privilege for: it
// reopens a device that was lost, makes connections that the plan names, and reports whether the guest is there. A switch can request nothing else (protocol.go).
//
// # Theory of operation
//
// The keeper is an event loop (loop.go). Goroutines that wait for something, such as a message, a connection, or a device, pass
// their results to the loop as functions, and the loop executes one after the other. The state of the keeper therefore needs no
// lock.
//
//	lifecycle.go  the states of the keeper, as a table of states and events; a pure function
//	actions.go    what the loop does on a transition of that table
//	protocol.go   which message a switch may send in which phase of its session
//	receive.go    what the loop does on a message
//	session.go    the connection with one switch; outbox.go has its messages, disposal.go closes descriptors
//	accept.go     connections; admit.go admits a switch, ask.go answers a probe
//	takeover.go   one switch replaces another one
//	links.go      the state of the guest's device and of the pod interface, for the switch
//	answer.go     the status while no switch is there to answer
//	hold.go       the hold after a switch has ended unasked: nothing answers until another one continues
//	pause.go      a stop that leaves the address taken, for the next switch or keeper
//	standby.go    switches that wait until the present one ends
//	learned.go    the file that keeps for the next keeper what the switch has reported
//	resources.go  what is open for a switch; port.go and opener.go have the ports
//
// A watchdog, which is a process that only waits, restores the interface if the keeper is killed.
package keeper

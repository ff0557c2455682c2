// Package dataplane is the switch process: it moves frames between one guest and one pod, or between plain devices. It opens nothing.
// A keeper process passes it a plan and the descriptors of its ports, and opens or dials whatever needs a privilege, so that the
// switch can give up all privileges before the first frame.
//
//	err := dataplane.Run(ctx, dataplane.Config{Conn: conn, EnterSandbox: enter, ExitCode: exitCode, Log: log})
//
// # Phases
//
// One switch has one session with its keeper. Package grant documents the messages and phases, phases.go has the functions.
//
//	connected   Hello, until Grant or StandBy     greet.go
//	standing    until Grant                       greet.go
//	building    forwarder, endpoints              delegate.go, bridge.go
//	            ports from Opened descriptors     device.go; a switch that takes over opens them with the snapshot
//	            Config.EnterSandbox, then Ready   run.go
//	ready       until Begin or Stop               phases.go
//	starting    until Started is sent             phases.go
//	running     until Yield, Stop or a failure    phases.go
//	yielding    Yielded with a snapshot           snapshot.go
//	yielded     builds again; a Begin means that  phases.go
//	            the takeover failed
//	stopping    until Stopped is sent             phases.go
//
// A plan with an address to delegate makes a delegation (IP mode): the pod address moves from the kernel to the switch and to the
// guest, and holder.go draws the states. Any other plan makes a bridging (Ethernet mode): a learning switch.
//
// # Goroutines
//
//	receive     reads the session from the handshake to its end. Opened and Dialled go to the goroutine that waits for them;
//	            every other message becomes a command
//	forward     vswitch.Switch.Run: one receive loop for each port; up to four of them share a thread (tap.ShareThreads)
//	control     control.Serve: status and fdb
//	background  events of a delegation that are not DHCP messages: lease expiry, uses of the address, probes; and reports to the
//	            keeper of what the next switch has to know if this one ends unasked (learned.go)
//	commands    Yield, Stop, GuestState, UplinkState, Changed and the end of the context
//	services    netstack's own: DHCP, DNS, kept ports (package stack)
//	hold timer  runs once, some time after the guest's device disappeared
//
// The phase running starts forward, control, background and commands in one error group. The first one that fails, and commands when it
// returns, ends the group. At the end of the phase the switch stops using the address, and the keeper gives it back to the kernel,
// except after Yield, when the next switch continues.
//
// # Takeover
//
// The next switch connects to the keeper, builds its forwarder and enters its sandbox while the first one runs. Yield interrupts the first one: its
// ports stop receiving, frames wait in the kernel's queues, and Yielded carries a snapshot: tables, lease, counters, and the bytes and
// connections that its ports hold. The next switch checks the whole snapshot, because its writer has parsed more of the guest's input
// than any other process, opens its ports with it and resumes. If it fails instead, the first switch gets the snapshot back with a Begin.
package dataplane

// Package keeper is the privileged half of podswitch: it may change the pod's interface, and never touches a frame.
//
// A keeper resolves the plan, opens every device and socket, and gives their descriptors to a switch, which is another process
// without any privilege. It takes the address when the switch is ready, and gives it back when the switch has ended, for
// whatever reason. Meanwhile it does the little that a switch cannot: it opens a device again that was lost, connects to what
// the plan names, and tells whether the guest is there. A switch can ask for nothing else (package grant).
//
// # Theory of operation
//
// Everything happens in one loop, one thing after the other: what a switch says, what was opened or dialled meanwhile, and
// what the one who started the keeper wants. Whatever takes time has a goroutine of its own, which hands its result to the
// loop. So there is no lock, and the order of things is that of the loop.
//
// The keeper's own end is noticed by a watchdog, a process that only waits: a switch could not put the address back.
package keeper

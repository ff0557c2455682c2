// Package grant is the protocol between a keeper and a switch, and passes the descriptors that the keeper opens for the switch.
//
// The keeper may change the pod's interface and never touches a frame. The switch forwards frames and has no privilege. Both are
// one program, and possibly two builds of it: Version stands for the form of the messages. A session is one connection, over a unix
// stream socket; for either process, the other one is its peer. Each message is a header of eight bytes, the length of the JSON and the number of descriptors as big-endian uint32,
// and a JSON object with exactly one member, the name and the content of the message. Descriptors travel with the first byte
// (SCM_RIGHTS, unix(7)).
//
// # A session
//
//	switch                     keeper
//	  Hello ──────────────────▶        version; begin, or take over from another switch
//	        ◀────────────────── StandBy  the keeper has another switch: wait for its end
//	        ◀────────────────── Grant  what to forward, and the control socket
//	        ◀────────────────── Opened once for each port that is present, with its descriptor
//	  Ready ──────────────────▶        the ports are built, and all privileges are dropped
//	        ◀────────────────── Begin  the address is taken; at a takeover: the snapshot of the previous switch; after the unasked end
//	                                   of a switch: what that one has learned
//	  Started ────────────────▶        frames are forwarded
//	  Learned ────────────────▶        the holder and the guest's lease, for the next switch if this one ends unasked
//	  ...
//	  Reopen, Dial ───────────▶        a port was lost; a connection that the plan names is needed
//	        ◀────────────────── Opened, Dialled
//	        ◀────────────────── GuestState: the guest's device, or the hypervisor behind it, has come or gone
//	        ◀────────────────── UplinkState: the pod interface, or its other end, has gone down or come up
//	        ◀────────────────── Changed: a program has changed the pod's network: MTU, MAC, routes, neighbours, lifetimes
//	        ◀────────────────── Yield  another switch is ready: stop forwarding
//	  Yielded ────────────────▶        the snapshot; a Begin returns it if the other switch fails
//	  Bye ────────────────────▶        the switch was asked to end
//	        ◀────────────────── Stop   the address is about to be given back
//	  Stopped ────────────────▶        the switch does not answer for the address any more
//
// A process that only wants to know whether the keeper works sends Ask in place of Hello, and gets an Answer.
//
// Either side may send a Fault instead of the next message, and ends the session then. A session ends with its connection, and a
// switch with its session.
//
// Package grant is the whole protocol; the message Grant is its second one, from which the switch learns what to do.
//
// # Messages
//
// The phases of a session are connected, standing, building, ready, starting, running, yielding and yielded, in this order. A switch that has
// yielded starts again if the takeover fails, and stopping follows each phase from starting on. The keeper tracks the phase
// (pod/keeper/protocol.go). A message of the switch that the table does not have for the phase ends the session; a switch ignores such a
// message of the keeper.
//
//	message      sender  phase                             descriptors                     next phase
//	Hello        switch  connected                         -                               building, standing
//	StandBy      keeper  connected, in answer to Hello     -                               standing
//	Grant        keeper  connected, in answer to Hello;    1: listening control socket     building
//	                     standing
//	Opened       keeper  building to yielding; yielded,    1: device or socket of the port -
//	                     before Begin
//	Ready        switch  building                          -                               ready
//	Begin        keeper  ready; yielded                    of connections to hypervisors   starting
//	Started      switch  starting, stopping                -                               running
//	Reopen       switch  starting to stopping              -                               -
//	Dial         switch  starting to stopping              -                               -
//	Learned      switch  starting to stopping              -                               -
//	Dialled      keeper  starting to stopping, in answer   1: connected socket; 0 with Err -
//	                     to Dial
//	GuestState   keeper  running                           -                               -
//	UplinkState  keeper  running                           -                               -
//	Changed      keeper  running                           -                               -
//	Yield        keeper  running                           -                               yielding
//	Yielded      switch  yielding, stopping                of connections to hypervisors   yielded
//	Bye          switch  building to stopping              -                               -
//	Stop         keeper  starting to yielded               -                               stopping
//	Stopped      switch  stopping                          -                               the end
//	Ask          switch  connected                         -                               -
//	Answer       keeper  connected, in answer to Ask       -                               the end
//	Fault        either  every                             -                               the end
//
// The receiver closes descriptors that a message must not have, and a keeper ends the session: it receives none but between Yield and
// Yielded, where a hypervisor connects to a port. The keeper disconnects a switch that does not send Hello, Ready,
// Started, Yielded or Stopped in time.
//
// # Changes
//
// The messages have separate types (message.go, forwarder.go, settings.go), and pod/plan, pod/keeper and pod/dataplane convert them
// (wire.go). The files in testdata list their JSON form. The tests fail until a changed form has a new Version; then go test
// ./pod/grant ./pod/dataplane -update writes the files. Unknown fields are refused, so that no side ignores what the other relies on.
// Hello and Fault have the same form in all versions: with them, a keeper refuses a switch of another version and names the version.
package grant

// Package grant is what a keeper and its switch say to each other, and the descriptors that they pass on.
//
// The keeper may change the pod's interface and never touches a frame; the switch touches frames and may do nothing else. They
// speak over a unix stream socket. Every message is one JSON object behind its length, and descriptors travel with it
// (SCM_RIGHTS, unix(7)):
//
//	switch                     keeper
//	  Hello ──────────────────▶        who I am; shall I begin, or take over from another switch?
//	        ◀────────────────── Grant  everything to know, and the control socket
//	        ◀────────────────── Opened once for each port that is there, with its descriptor
//	  Ready ──────────────────▶        built, and locked in: nothing is left to do but to switch
//	        ◀────────────────── Go     the address is taken; or what the switch before has learned
//	  Started ────────────────▶        at work
//	  ...
//	  Reopen, Dial ───────────▶        a port was lost; a connection to what the plan names is wanted
//	        ◀────────────────── Opened, Dialled
//	        ◀────────────────── Guest  the guest's device, or what is behind it, has come or gone
//	        ◀────────────────── Yield  another switch is ready: stop, and say what you know
//	  Yielded ────────────────▶        a Go follows if the other one fails after all
//	  Bye ────────────────────▶        I was asked to end
//	        ◀────────────────── Stop   the address goes back now
//	  Stopped ────────────────▶
//
// Either side may say Fault instead of what it was to say, and ends then. The end of a connection is the end of its switch.
package grant

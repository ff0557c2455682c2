// Package descriptor waits on the open files of ports.
//
// The runtime's own poller is made for many files that are mostly idle. A port is the opposite: one file that one goroutine
// reads all the time. There the poller costs more than it saves: the kernel tells it of every frame that arrives and of every
// buffer that a transmitted frame gave back, also while nobody waits, and each wait takes two switches between goroutines. So
// a port waits in poll(2), in the thread that then reads; and a few ports wait in the same one, by turns (Loop).
package descriptor

// Package descriptor waits for the open files of ports: a tap, a packet socket or a unix socket that one goroutine reads all the time.
//
//	d, err := descriptor.New(fd) // d owns fd from here on
//	if err != nil {
//		return err
//	}
//	defer d.Close()
//	err = d.Receive(func(fd uintptr) bool {
//		n, err = unix.Read(int(fd), buffer)
//		return err != unix.EAGAIN // false: wait, and call this function again
//	})
//
// The runtime's network poller serves many files that are mostly idle. For a port it costs more than it saves: the kernel notifies
// the poller of every received frame and of every transmit buffer that becomes free, also while no goroutine waits, and each wait takes
// two goroutine switches. Therefore a Descriptor waits in poll(2), in the thread that then reads; and the functions of a Loop share one
// poll(2) and one thread.
package descriptor

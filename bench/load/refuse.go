package main

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// refuse holds a UDP port at which datagrams are counted and nothing is taken, writes "ready", and waits until the process is
// ended.
func refuse(port uint16, ready io.Writer) error {
	fd, err := refuser(port)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if _, err := fmt.Fprintln(ready, "ready"); err != nil {
		return fmt.Errorf("say ready: %w", err)
	}
	for {
		_, _, err := unix.Recvfrom(fd, nil, 0)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("wait at port %d: %w", port, err)
		default:
			return fmt.Errorf("port %d: a datagram has passed the filter that refuses all", port)
		}
	}
}

// refuser returns a UDP socket with a filter that takes 0 octets of every datagram. The kernel verifies a datagram's checksum
// before it asks the filter, unless it came with the checksum still to be completed, as from a merged frame; and it counts what is refused in Udp InErrors of the namespace: no program is woken that would
// compete with what is measured. A GSO datagram comes to a socket without UDP_GRO in its segments (udp(7)), and so each counts.
func refuser(port uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)}) // after the filter, so that none comes before it
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("refuse datagrams at port %d: %w", port, err)
	}
	return fd, nil
}

package main

import (
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// refuse binds a UDP port that counts and refuses datagrams, prints "ready", and waits until the process is killed.
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
			return fmt.Errorf("port %d: a datagram has passed the socket filter that refuses all", port)
		}
	}
}

// refuser returns a UDP socket with a filter that refuses every datagram. The kernel counts a refused datagram in Udp InErrors of the
// namespace and wakes no program, which would compete with the measured one. It verifies the checksum of a datagram before it runs the
// filter, unless the checksum is incomplete, as in a merged frame. A socket without UDP_GRO receives a GSO datagram as its segments
// (udp(7)), each of which counts.
func refuser(port uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)}) // after the filter, which so covers every datagram
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("refuse datagrams at port %d: %w", port, err)
	}
	return fd, nil
}

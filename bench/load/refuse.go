package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"

	"golang.org/x/sys/unix"
)

// refuse binds a UDP socket that counts and refuses datagrams, prints "ready", and waits until the process is killed.
func refuse(address netip.AddrPort, ready io.Writer) error {
	fd, err := refuser(address)
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
			return fmt.Errorf("wait at %s: %w", address, err)
		default:
			return fmt.Errorf("%s: a datagram has passed the socket filter that refuses all", address)
		}
	}
}

// refuser returns a UDP socket with a filter that refuses every datagram. The kernel counts a refused datagram in InErrors of Udp or Udp6 of
// the namespace and wakes no program, which would compete with the measured one. It verifies the checksum of a datagram before it runs
// the filter, unless the checksum is incomplete, as in a merged frame. A socket without UDP_GRO receives a GSO datagram as its segments
// (udp(7)), each of which counts.
func refuser(address netip.AddrPort) (int, error) {
	fd, own, err := newSocket(unix.SOCK_DGRAM, address)
	if err != nil {
		return -1, err
	}
	nothing := unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0}
	err = unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &nothing})
	if err == nil {
		err = unix.Bind(fd, own) // after the filter, which so covers every datagram
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("refuse datagrams at %s: %w", address, err)
	}
	return fd, nil
}

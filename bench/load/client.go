package main

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// size is the length of a request and of its answer, in octets.
	size = 1
	// timeout is the time after which a request counts as lost, or a connection as failed.
	timeout = time.Second
)

// requester returns a function that makes one request, and a function that closes its socket.
func requester(verb string, address netip.AddrPort) (once func() error, done func(), err error) {
	switch verb {
	case "connect":
		return func() error { return connectOnce(address) }, func() {}, nil
	case "tcp", "udp":
	default:
		return nil, nil, fmt.Errorf("verb %q: want serve, refuse, await, tcp, udp or connect", verb)
	}
	kind := unix.SOCK_STREAM
	if verb == "udp" {
		kind = unix.SOCK_DGRAM
	}
	fd, err := dial(kind, address)
	if err != nil {
		return nil, nil, err
	}
	request := make([]byte, size)
	return func() error { return exchange(fd, request) }, func() { unix.Close(fd) }, nil
}

// dial returns a connected, blocking socket whose receive timeout is timeout.
func dial(kind int, address netip.AddrPort) (int, error) {
	fd, to, err := newSocket(kind, address)
	if err != nil {
		return -1, err
	}
	limit := unix.NsecToTimeval(int64(timeout))
	err = errors.Join(
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &limit), // it applies to connect(2) too
		noDelay(fd, kind),
	)
	if err == nil {
		err = unix.Connect(fd, to)
	}
	if errors.Is(err, unix.EINPROGRESS) || errors.Is(err, unix.EINTR) {
		err = errLost
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("connect to %s: %w", address, err)
	}
	return fd, nil
}

// newSocket returns a socket of the address's family alone, and the address as system calls take it.
func newSocket(kind int, address netip.AddrPort) (fd int, to unix.Sockaddr, err error) {
	family, port := unix.AF_INET, int(address.Port())
	if address.Addr().Is4() {
		to = &unix.SockaddrInet4{Port: port, Addr: address.Addr().As4()}
	} else {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: port, Addr: address.Addr().As16()}
	}
	if fd, err = unix.Socket(family, kind|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, nil, fmt.Errorf("make a socket: %w", err)
	}
	if family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1)
	}
	if err != nil {
		unix.Close(fd)
		return -1, nil, fmt.Errorf("make a socket: %w", err)
	}
	return fd, to, nil
}

func noDelay(fd, kind int) error {
	if kind != unix.SOCK_STREAM {
		return nil
	}
	return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

func exchange(fd int, request []byte) error {
	if _, err := unix.Write(fd, request); err != nil {
		return fmt.Errorf("send a request: %w", err)
	}
	n, err := unix.Read(fd, request)
	for errors.Is(err, unix.EINTR) { // a signal of the runtime: SA_RESTART has no effect on a socket with a timeout (signal(7))
		n, err = unix.Read(fd, request)
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
		return errLost
	case err != nil:
		return fmt.Errorf("read an answer: %w", err)
	case n == 0:
		return errors.New("the server has closed the connection")
	}
	return nil
}

// connectOnce connects, makes one request, and closes with a reset: TIME_WAIT would make local ports unavailable.
func connectOnce(address netip.AddrPort) error {
	fd, err := dial(unix.SOCK_STREAM, address)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return fmt.Errorf("set SO_LINGER: %w", err)
	}
	return exchange(fd, make([]byte, size))
}

// await connects and makes requests until one is answered.
func await(address netip.AddrPort, length time.Duration) error {
	deadline := time.After(length)
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := connectOnce(address)
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-deadline:
			return fmt.Errorf("waited %s: %w", length, err)
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// serve echoes requests over TCP and UDP until the process is killed.
func serve(address netip.AddrPort) error {
	stream, err := bind(unix.SOCK_STREAM, address)
	if err != nil {
		return err
	}
	datagram, err := bind(unix.SOCK_DGRAM, address)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- echoDatagrams(datagram) }()
	go func() { failed <- accept(stream) }()
	return <-failed
}

func bind(kind int, address netip.AddrPort) (int, error) {
	fd, own, err := newSocket(kind, address)
	if err != nil {
		return -1, err
	}
	if err := unix.Bind(fd, own); err != nil {
		return -1, fmt.Errorf("bind to %s: %w", address, err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, 1024); err != nil {
			return -1, fmt.Errorf("listen on %s: %w", address, err)
		}
	}
	return fd, nil
}

func echoDatagrams(fd int) error {
	buffer := make([]byte, 2048)
	for {
		n, from, err := unix.Recvfrom(fd, buffer, 0)
		if err != nil {
			return fmt.Errorf("receive a datagram: %w", err)
		}
		// The client counts an answer that cannot be sent as lost.
		_ = unix.Sendto(fd, buffer[:n], 0, from)
	}
}

func accept(listener int) error {
	for {
		fd, _, err := unix.Accept4(listener, unix.SOCK_CLOEXEC)
		if errors.Is(err, unix.ECONNABORTED) {
			continue
		}
		if err != nil {
			return fmt.Errorf("accept a connection: %w", err)
		}
		go echo(fd)
	}
}

// echo returns when the connection is closed.
func echo(fd int) {
	defer unix.Close(fd)
	_ = noDelay(fd, unix.SOCK_STREAM)
	buffer := make([]byte, 2048)
	for {
		n, err := unix.Read(fd, buffer)
		if err != nil || n == 0 {
			return
		}
		if _, err := unix.Write(fd, buffer[:n]); err != nil {
			return
		}
	}
}

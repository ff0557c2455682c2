package main

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// serve echoes requests over TCP and UDP until the process is killed.
func serve(port uint16) error {
	stream, err := bind(unix.SOCK_STREAM, port)
	if err != nil {
		return err
	}
	datagram, err := bind(unix.SOCK_DGRAM, port)
	if err != nil {
		return err
	}
	failed := make(chan error, 2)
	go func() { failed <- echoDatagrams(datagram) }()
	go func() { failed <- accept(stream) }()
	return <-failed
}

func bind(kind int, port uint16) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("make a socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{Port: int(port)}); err != nil {
		return -1, fmt.Errorf("bind to port %d: %w", port, err)
	}
	if kind == unix.SOCK_STREAM {
		if err := unix.Listen(fd, 1024); err != nil {
			return -1, fmt.Errorf("listen on port %d: %w", port, err)
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

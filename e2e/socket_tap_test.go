package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// maxFrame is a bound of the frames of a tap without offloads, in bytes.
const maxFrame = 1 << 16

// socketTap is a minimal hypervisor with a unix socket, whose guest is the kernel of its namespace: it makes the tap DEVICE there and moves
// frames between tap and socket: socket-tap DEVICE SOCKET. SOCKET is the value of podswitch's flag --guest: stream:PATH or
// dgram:LOCAL,REMOTE.
func socketTap(args []string) error {
	device, err := openTap(args[0])
	if err != nil {
		return err
	}
	defer device.Close()
	socket, err := dialGuestSocket(args[1])
	if err != nil {
		return err
	}
	defer socket.Close()
	fmt.Println("plugged")
	ended := make(chan error, 2)
	go func() { ended <- move(socket.write, device.Read) }()
	go func() { ended <- move(func(b []byte) error { _, err := device.Write(b); return err }, socket.read) }()
	return <-ended
}

func openTap(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// move moves frames one way until an error. A tap that is down refuses frames, which are dropped.
func move(write func([]byte) error, read func([]byte) (int, error)) error {
	frame := make([]byte, maxFrame)
	for {
		n, err := read(frame)
		if err != nil {
			return err
		}
		if err := write(frame[:n]); err != nil && !errors.Is(err, unix.EIO) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
	}
}

// A guestSocket is the hypervisor's end of a socket.
type guestSocket struct {
	net.Conn
	stream bool
}

func dialGuestSocket(spec string) (guestSocket, error) {
	if path, ok := strings.CutPrefix(spec, "stream:"); ok {
		c, err := net.Dial("unix", path)
		return guestSocket{c, true}, err
	}
	local, remote, _ := strings.Cut(strings.TrimPrefix(spec, "dgram:"), ",") // podswitch's path and the hypervisor's
	c, err := net.DialUnix("unixgram", &net.UnixAddr{Name: remote, Net: "unixgram"}, &net.UnixAddr{Name: local, Net: "unixgram"})
	return guestSocket{c, false}, err
}

// write sends a frame. On a stream, its length precedes it as 4 bytes in big-endian order (QEMU's -netdev stream).
func (s guestSocket) write(frame []byte) error {
	if s.stream {
		frame = append(binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(frame)), uint32(len(frame))), frame...)
	}
	_, err := s.Write(frame)
	return err
}

func (s guestSocket) read(frame []byte) (int, error) {
	if !s.stream {
		return s.Read(frame)
	}
	var length [4]byte
	if _, err := io.ReadFull(s, length[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > maxFrame {
		return 0, fmt.Errorf("a frame of %d bytes", n)
	}
	return io.ReadFull(s, frame[:n])
}

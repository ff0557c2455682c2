package tap

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/vnet"
)

// A merged frame of several UDP datagrams (vnet.GSOUDPL4) is cut by the kernel of the node, and kernels differ: before Linux 6.2 they refuse such a
// frame from a tap or a packet socket, before 6.5 they may cut it as IP fragments (__udp_gso_segment, net/ipv4/udp_offload.c), and some later
// releases write a wrong length or checksum into some of the datagrams. Distributions port changes in both directions, so that a version
// says little. Therefore Mergeable asks the kernel to cut a few such frames and compares the result:
//
//  1. It creates a tap without offloads, for which the kernel has to cut in software, and which ends with its descriptor.
//  2. It sends each frame of probeFrames through a packet socket on the tap's kernel side.
//  3. It reads the datagrams on the user side and compares them with those of package vnet, byte for byte.

// Mergeable returns what a port may merge so that this kernel cuts it into the original frames again: MergeDatagrams, or MergeSegments with an
// error that says why not UDP datagrams. It needs CAP_NET_ADMIN, CAP_NET_RAW and /dev/net/tun, and makes a tap in this process's
// network namespace that is gone when it returns.
func Mergeable() (Merging, error) {
	p, err := newCutProbe()
	if err != nil {
		return MergeSegments, fmt.Errorf("find out how the kernel cuts merged UDP datagrams: %w", err)
	}
	defer p.close()
	if err := judge(p.cut); err != nil {
		return MergeSegments, err
	}
	return MergeDatagrams, nil
}

// judge returns an error unless cut, a kernel, cuts all frames of probeFrames as package vnet does.
func judge(cut func(h vnet.Header, frame []byte, pieces int) ([][]byte, error)) error {
	for _, payload := range probeFrames {
		h, frame := mergedDatagrams(payload)
		var want [][]byte
		room := make([]byte, vnet.WireLen(h, frame))
		for segments := vnet.Cut(h, frame); !segments.Done(); {
			want = append(want, bytes.Clone(room[:segments.Next(room)]))
		}
		got, err := cut(h, frame, len(want))
		if err != nil {
			return fmt.Errorf("the kernel cuts %d bytes of UDP datagrams: %w", payload, err)
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				return fmt.Errorf("the kernel has a fault: of %d bytes of merged UDP datagrams, it spoils datagram %d of %d", payload, i+1, len(want))
			}
		}
	}
	return nil
}

// probeSize is the payload in bytes of the datagrams in probeFrames.
const probeSize = 1200

// probeFrames are the payloads in bytes of the frames to cut: the last datagram is full, smaller, and of one byte; few and as many datagrams as a
// port merges.
var probeFrames = []int{2 * probeSize, 3 * probeSize, 3*probeSize - 1, 2*probeSize + 1, 5*probeSize - 700, 53 * probeSize}

// mergedDatagrams returns a frame of several UDP datagrams, as vnet.Run merges them.
func mergedDatagrams(payload int) (vnet.Header, []byte) {
	frame := append([]byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 17, 0, 0,
		192, 0, 2, 1, 192, 0, 2, 2, 0x30, 0x39, 0x30, 0x3a, 0, 0, 0, 0}, make([]byte, payload)...) // addresses of documentation (RFC 5737)
	for i := range payload {
		frame[42+i] = byte(i*7 + i>>8)
	}
	datagram := frame[34:]
	binary.BigEndian.PutUint16(frame[16:], uint16(len(frame)-14))
	binary.BigEndian.PutUint16(frame[24:], vnet.Checksum(frame[14:34], 0))
	binary.BigEndian.PutUint16(datagram[4:], uint16(len(datagram)))
	binary.BigEndian.PutUint16(datagram[6:], vnet.Sum(nil, vnet.PseudoSum(frame[26:30], frame[30:34], unix.IPPROTO_UDP, len(datagram))))
	return vnet.Header{Flags: vnet.FlagNeedsChecksum, GSOType: vnet.GSOUDPL4, HdrLen: 42, GSOSize: probeSize, CsumStart: 34, CsumOffset: 6}, frame
}

// A cutProbe is a tap without offloads, and a packet socket on its kernel side.
type cutProbe struct{ tap, socket int }

func newCutProbe() (p cutProbe, err error) {
	p.socket = -1
	if p.tap, err = unix.Open(tunDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return p, tunError("for a test", os.NewSyscallError("open", err))
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	name, err := createTap(p.tap)
	if err != nil {
		return p, tunError("for a test", err)
	}
	if err := configureTun(p.tap, 0, 0); err != nil {
		return p, err
	}
	if _, err := SetUp(name); err != nil {
		return p, err
	}
	p.socket, err = openSender(name)
	return p, err
}

// createTap creates a tap whose name the kernel chooses, and returns the name.
func createTap(fd int) (name string, err error) {
	request, err := unix.NewIfreq("podswitch%d")
	if err != nil {
		return "", err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	return request.Name(), os.NewSyscallError("TUNSETIFF", err)
}

func (p cutProbe) close() {
	for _, fd := range []int{p.tap, p.socket} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

// openSender opens a packet socket that sends through a device, and receives nothing.
func openSender(name string) (int, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return -1, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	err = errors.Join(os.NewSyscallError("PACKET_VNET_HDR", unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1)),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link.Index})))
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// probeWait is how long the kernel may take to cut a frame.
const probeWait = time.Second

// cut has the kernel cut a frame, and returns the given number of pieces.
func (p cutProbe) cut(h vnet.Header, frame []byte, pieces int) (got [][]byte, err error) {
	header := make([]byte, vnet.Size)
	h.Encode(header)
	if _, err := unix.Writev(p.socket, [][]byte{header, frame}); err != nil {
		return nil, os.NewSyscallError("writev", err)
	}
	b := make([]byte, 2048)
	for deadline := time.Now().Add(probeWait); len(got) < pieces; {
		n, err := unix.Read(p.tap, b)
		switch {
		case err == unix.EAGAIN && time.Now().After(deadline):
			return nil, fmt.Errorf("%d of %d datagrams arrive: %w", len(got), pieces, os.ErrDeadlineExceeded)
		case err == unix.EAGAIN:
			_, _ = unix.Poll([]unix.PollFd{{Fd: int32(p.tap), Events: unix.POLLIN}}, 10)
		case err == unix.EINTR:
		case err != nil:
			return nil, os.NewSyscallError("read", err)
		case n > 12 && bytes.Equal(b[:12], frame[:12]): // others are the kernel's own
			got = append(got, bytes.Clone(b[:n]))
		}
	}
	return got, nil
}

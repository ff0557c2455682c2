package tap

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/descriptor"
	"github.com/podswitch/podswitch/missing"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// packetBuffer is the socket's receive and send buffer in bytes: some sixty of the largest segments.
const packetBuffer = 4 << 20

// A packetPort is a packet socket (packet(7)) on the kernel side of a device: it receives what the device receives, before
// the kernel's own stack sees it, and transmits as the kernel would. Many frames pass in one system call.
type packetPort struct {
	*descriptor.Descriptor
	counters *vswitch.Counters

	rx   *messages // belongs to the goroutine that receives
	in   []vswitch.Frame
	n    int
	want int // messages to ask for: few while large segments arrive, so that they stay in the processor's cache
	err  error
	read func(fd uintptr) bool

	mu    sync.Mutex // guards the following, which belong to who transmits
	tx    *messages
	out   []vswitch.Frame
	write func(fd uintptr)
}

// openPacket opens a packet socket on a device, promiscuously: frames for the guest have any destination MAC.
func openPacket(name string, o Options) (vswitch.Port, error) {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return nil, &missing.Error{What: "open a packet socket on " + name, Need: "the device " + name,
			Give: "create it, or name another one", Err: err}
	}
	if link.Flags&net.FlagLoopback != 0 {
		return nil, &missing.Error{What: "open a packet socket on " + name, Need: "an Ethernet device", Give: "name another one"}
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, &missing.Error{What: "open a packet socket on " + name, Need: "CAP_NET_RAW", Give: "run as root", Err: err}
	}
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", name, os.NewSyscallError("socket", err))
	}
	if err := configurePacket(fd, link.Index); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("open a packet socket on %s: %w", name, err)
	}
	return newPacket(fd, o.Counters)
}

// configurePacket binds last: from then on frames arrive, and each must come with its header.
func configurePacket(fd, index int) error {
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF)
	for _, option := range []struct {
		name string
		id   int
		need string
	}{
		{"PACKET_VNET_HDR", unix.PACKET_VNET_HDR, "Linux 2.6.27"},
		{"PACKET_AUXDATA", unix.PACKET_AUXDATA, "Linux 2.6.21"},
		{"PACKET_IGNORE_OUTGOING", unix.PACKET_IGNORE_OUTGOING, "Linux 4.20"},
	} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option.id, 1); err != nil {
			return &missing.Error{What: "set " + option.name, Need: option.need, Err: err}
		}
	}
	membership := unix.PacketMreq{Ifindex: int32(index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &membership); err != nil {
		return os.NewSyscallError("PACKET_ADD_MEMBERSHIP", err)
	}
	all := uint16(unix.ETH_P_ALL)
	err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: index}) // network byte order: packet(7)
	return os.NewSyscallError("bind", err)
}

// setBuffer enlarges a socket buffer beyond the system's limit where that is allowed, and up to it otherwise.
func setBuffer(fd, force, normal int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, packetBuffer) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, normal, packetBuffer) // the kernel's default works too
	}
}

// newPacket takes over the descriptor of a configured packet socket.
func newPacket(fd int, counters *vswitch.Counters) (vswitch.Port, error) {
	d, err := descriptor.New(fd)
	if err != nil {
		return nil, err
	}
	p := &packetPort{Descriptor: d, counters: counters, rx: newReceiveMessages(), tx: newMessages(), want: vswitch.BatchSize}
	p.read, p.write = p.readBatch, p.writeBatch
	return p, nil
}

// Counters implements vswitch.Port. It adds what the kernel has dropped since the last call, because its queue was full.
func (p *packetPort) Counters() *vswitch.Counters {
	p.Descriptor.Transmit(p.collect) // a closed socket has nothing to say any more
	return p.counters
}

// collect reads the kernel's counters, which start anew with each reading (packet(7), PACKET_STATISTICS).
func (p *packetPort) collect(fd uintptr) {
	if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		p.counters.Drop(vswitch.ReceiveFull, int(stats.Drops))
	}
}

// Discard drops what has arrived so far, under the given reason. It must not be called beside Receive.
func (p *packetPort) Discard(r vswitch.Reason) {
	p.Descriptor.Transmit(func(fd uintptr) {
		for {
			got, err := p.rx.receive(fd, vswitch.BatchSize)
			if err != 0 && err != unix.EINTR && err != unix.EINVAL {
				return
			}
			p.counters.Drop(r, max(got, 0))
		}
	})
}

// Close implements vswitch.Port.
func (p *packetPort) Close() error {
	p.Counters()
	return p.Descriptor.Close()
}

func (p *packetPort) Receive(batch []vswitch.Frame) (int, error) {
	p.in, p.n, p.err = batch, 0, nil
	if err := p.Descriptor.Receive(p.read); err != nil {
		return 0, err
	}
	return p.n, p.err
}

// readBatch reports false when there is nothing yet.
func (p *packetPort) readBatch(fd uintptr) bool {
	for p.n == 0 {
		got, err := p.rx.receive(fd, min(p.want, len(p.in)))
		switch err {
		case 0:
			p.take(got)
		case unix.EINTR:
		case unix.EAGAIN:
			return false
		case unix.EINVAL: // a frame whose offloads the virtio-net header cannot tell is lost: net/packet/af_packet.c, packet_rcv_vnet
			p.counters.Drop(vswitch.ReceiveError, 1)
		default:
			p.err = os.NewSyscallError("recvmmsg", err)
			return true
		}
	}
	return true
}

// take turns received messages into frames.
func (p *packetPort) take(got int) {
	large := false
	for i := range got {
		data, truncated := p.rx.frame(i)
		if truncated {
			p.counters.Drop(vswitch.Truncated, 1)
			continue
		}
		p.in[p.n] = vswitch.Frame{Offload: vnet.Decode(p.rx.headers[i][:]), Data: data}
		p.n++
		large = large || len(data) > 16<<10
	}
	p.want = vswitch.BatchSize
	if large {
		p.want = vswitch.BatchSize / 8
	}
}

func (p *packetPort) Transmit(batch []vswitch.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for len(batch) > 0 {
		n := min(len(batch), vswitch.BatchSize)
		p.out, batch = batch[:n], batch[n:]
		if !p.Descriptor.Transmit(p.write) {
			p.counters.Drop(vswitch.PortDown, n)
		}
	}
	p.out = nil
}

// writeBatch sends p.out. A frame that the kernel refuses is counted and skipped.
func (p *packetPort) writeBatch(fd uintptr) {
	for i := range p.out {
		p.tx.set(i, &p.out[i])
	}
	frames, bytes := 0, 0
	for at := 0; at < len(p.out); {
		sent, err := p.tx.send(fd, at, len(p.out))
		if err == unix.EINTR {
			continue
		}
		if err != 0 {
			p.counters.Drop(transmitReason(err), 1)
			at++
			continue
		}
		for _, f := range p.out[at : at+sent] {
			bytes += len(f.Data)
		}
		frames += sent
		at += sent
	}
	p.counters.Sent(frames, bytes)
}

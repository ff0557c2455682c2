package tap

import (
	"os"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// A packetPort is a packet socket (packet(7)) on the kernel side of a device: it receives what the device receives, before
// the kernel's own stack sees it, and transmits as the kernel would. Many frames pass in one system call.
type packetPort struct {
	*descriptor.Descriptor
	counters *vswitch.Counters

	rx   *messages // belongs to the goroutine that receives
	in   []vswitch.Frame
	n    int
	want int // messages to ask for: fewer while large segments arrive, so that they stay in the processor's cache
	err  error
	read func(fd uintptr) bool

	down        atomic.Uintptr // the error that says that the device was lost; the receiver returns it once the queue is empty
	interrupted atomic.Bool

	mu    sync.Mutex // guards the following, which belong to who transmits
	tx    *messages
	out   []vswitch.Frame
	write func(fd uintptr)
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
		for n := 0; n < mostQueued; n++ {
			got, err := p.rx.receive(fd, vswitch.BatchSize)
			switch err {
			case 0:
				p.counters.Drop(r, got)
				n += got - 1
			case unix.EINTR:
			case unix.EINVAL: // as in readBatch
				p.counters.Drop(r, 1)
			case unix.EAGAIN:
				return
			default:
				p.lost(err) // Receive does not find it again
				return
			}
		}
	})
}

// mostQueued is more than a socket's queue holds, where each frame counts with 512 bytes at least (struct sk_buff and its data), and the
// buffer twice what was asked for (socket(7), SO_RCVBUF): who goes on sending does not keep Discard from ending.
const mostQueued = 2 * packetBuffer / 512

// Interrupt implements vswitch.Interrupter.
func (p *packetPort) Interrupt() {
	p.interrupted.Store(true)
	p.Descriptor.Interrupt()
}

// Close implements vswitch.Port. What the kernel has dropped since an Interrupt, whoever goes on with the socket counts.
func (p *packetPort) Close() error {
	if !p.interrupted.Load() {
		p.Counters()
	}
	return p.Descriptor.Close()
}

func (p *packetPort) Receive(batch []vswitch.Frame) (int, error) {
	p.in, p.n, p.err = batch, 0, nil
	for p.n == 0 && p.err == nil {
		if err := p.Descriptor.Receive(p.read); err != nil {
			return 0, err
		}
	}
	return p.n, p.err
}

// readBatch receives once; it reports false when there is nothing yet. It does not go on until there is a frame: others wait for
// their turns, and a guest may send for ever what is none.
func (p *packetPort) readBatch(fd uintptr) bool {
	got, err := p.rx.receive(fd, min(p.want, len(p.in)))
	switch err {
	case 0:
		p.take(got)
	case unix.EINTR:
	case unix.EAGAIN:
		return p.isLost()
	case unix.EINVAL: // a frame whose offloads the virtio-net header cannot tell is lost: net/packet/af_packet.c, packet_rcv_vnet
		p.counters.Drop(vswitch.ReceiveError, 1)
	case unix.ENETDOWN, unix.ENXIO: // it comes before what is queued
		p.lost(err)
	default:
		p.err = os.NewSyscallError("recvmmsg", err)
	}
	return true
}

// take turns received messages into frames.
func (p *packetPort) take(got int) {
	large := false
	for i := range got {
		data, reason, bad := p.rx.frame(i)
		if bad {
			p.counters.Drop(reason, 1)
			continue
		}
		p.in[p.n] = vswitch.Frame{Offload: vnet.Decode(p.rx.headers[i][:]), Data: data}
		p.n++
		large = large || len(data) > 16<<10
	}
	p.want = vswitch.BatchSize
	if large {
		p.want = vswitch.BatchSize / 4
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
		sent, err := p.sendFrom(fd, at)
		if err == unix.EINTR {
			continue
		}
		if err != 0 {
			p.refused(fd, at, err)
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
	p.tx.forget(len(p.out))
}

// refused makes the best of a frame that the kernel did not take.
func (p *packetPort) refused(fd uintptr, at int, err syscall.Errno) {
	if f := &p.out[at]; isRefused(err, f) {
		sendCut(f, p.counters, func(piece *vswitch.Frame) syscall.Errno {
			p.tx.set(at, piece)
			_, err := p.tx.send(fd, at, at+1)
			return err
		})
		return
	}
	p.counters.Drop(transmitReason(err), 1)
}

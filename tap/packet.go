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

// A packetPort is a packet socket (packet(7)) on the kernel side of a device: it receives the device's frames before the kernel's network
// stack sees them, and transmits through the device. One system call moves up to a batch of frames.
type packetPort struct {
	*descriptor.Descriptor
	counters *vswitch.Counters

	// The following belong to the goroutine that receives.
	reader *descriptor.Reader[[]vswitch.Frame]
	rx     *messages
	big    bigFrames
	want   int // messages in one system call: fewer while large segments arrive, so that they stay in the processor's cache

	careful     atomic.Int32   // frames to peek at before they are received (datagram.go)
	events      Events         // may be nil
	down        atomic.Uintptr // the errno that says that the device is lost (pending.go); 0: it is not
	interrupted atomic.Bool

	mu    sync.Mutex // guards the following, for transmitting
	tx    *messages
	out   []vswitch.Frame
	write func(fd uintptr)
}

// newPacket makes a port of a configured packet socket, and owns fd.
func newPacket(fd int, counters *vswitch.Counters, events Events) (vswitch.Port, error) {
	d, err := descriptor.New(fd)
	if err != nil {
		return nil, err
	}
	p := &packetPort{Descriptor: d, counters: counters, rx: newReceiveMessages(), tx: newMessages(), want: vswitch.BatchSize,
		events: events}
	p.careful.Store(carefulAtFirst)
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1) // readDatagram of a process that was killed may have switched it off
	p.big.small = p.rx
	p.reader, p.write = descriptor.NewReader(d, p.readBatch), p.writeBatch
	return p, nil
}

// Counters implements vswitch.Port. It adds the frames that the kernel has dropped since the last call because the queue was full.
func (p *packetPort) Counters() *vswitch.Counters {
	p.Descriptor.Transmit(p.collect) // a closed socket reports no statistics
	return p.counters
}

// collect reads the kernel's counters, which each reading resets (packet(7), PACKET_STATISTICS).
func (p *packetPort) collect(fd uintptr) {
	if stats, err := unix.GetsockoptTpacketStats(int(fd), unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
		p.counters.Drop(vswitch.ReceiveFull, int(stats.Drops))
	}
}

// Discard drops the queued frames and counts them under reason r. It must not run at the same time as Receive.
func (p *packetPort) Discard(r vswitch.Reason) {
	p.Descriptor.Transmit(func(fd uintptr) {
		for n := 0; n < mostQueued; n++ {
			got, err := p.big.small.receive(fd, vswitch.BatchSize)
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
				p.lost(err) // the call has cleared the pending error
				return
			}
		}
	})
}

// mostQueued bounds Discard while frames keep arriving. It is more than the socket's queue holds: a queued frame takes at least 512 bytes
// (struct sk_buff and data), and the buffer has twice the requested size (socket(7), SO_RCVBUF).
const mostQueued = 2 * packetBuffer / 512

// Interrupt implements vswitch.Interrupter.
func (p *packetPort) Interrupt() {
	p.interrupted.Store(true)
	p.Descriptor.Interrupt()
}

// Close implements vswitch.Port. After an Interrupt it does not read the kernel's counters: the next user of the socket counts them.
func (p *packetPort) Close() error {
	if !p.interrupted.Load() {
		p.Counters()
	}
	return p.Descriptor.Close()
}

// Receive implements vswitch.Port.
func (p *packetPort) Receive(batch []vswitch.Frame) (int, error) { return p.reader.Receive(batch) }

// readBatch is an Attempt (package descriptor).
func (p *packetPort) readBatch(fd uintptr, batch []vswitch.Frame) (n int, wait bool, err error) {
	got, errno := p.receiveSome(fd, min(p.want, len(batch), p.useMessages()))
	switch errno {
	case 0:
		return p.decode(got, batch), false, nil
	case unix.EINTR:
		return 0, false, nil
	case unix.EAGAIN:
		err := p.lossError()
		return 0, err == nil, err
	case unix.EINVAL: // the virtio-net header cannot describe a frame's offloads, and the frame is lost: packet_rcv_vnet, net/packet/af_packet.c
		p.unknown()
		return 0, false, nil
	case errDatagram:
		return p.readDatagram(fd, batch), false, nil
	case unix.ENETDOWN, unix.ENXIO: // the kernel reports a pending error before it returns queued frames
		p.lost(errno)
		return 0, false, nil
	}
	return 0, false, os.NewSyscallError("recvmmsg", errno)
}

// decode fills in batch from the received messages, and returns the number of frames.
func (p *packetPort) decode(got int, batch []vswitch.Frame) (n int) {
	large := false
	for i := range got {
		data, reason, bad := p.rx.frame(i)
		if bad {
			p.counters.Drop(reason, 1)
			p.expectBig(reason == vswitch.Truncated)
			continue
		}
		if n == len(batch) { // the parts of large frames have filled it
			p.counters.Drop(vswitch.ReceiveFull, 1)
			continue
		}
		h := vnet.Decode(p.rx.headers[i][:])
		vnet.Reopen(&h, data)
		if len(data) > largestFrame {
			n += p.divide(h, data, batch[n:])
			continue
		}
		batch[n] = vswitch.Frame{Offload: h, Data: data}
		n++
		large = large || len(data) > 16<<10
	}
	p.want = vswitch.BatchSize
	if large {
		p.want = vswitch.BatchSize / 4
	}
	return n
}

// Transmit implements vswitch.Port.
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

// writeBatch sends p.out. It counts and skips a frame that the kernel refuses.
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
			p.refuse(fd, at, err)
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

// refuse handles a frame that the kernel has refused: it sends the pieces of merged datagrams, and drops any other frame.
func (p *packetPort) refuse(fd uintptr, at int, err syscall.Errno) {
	if f := &p.out[at]; isRefused(err, f) {
		sendCut(f, p.counters, func(piece *vswitch.Frame) syscall.Errno {
			p.tx.set(at, piece)
			_, err := p.tx.send(fd, at, at+1)
			return err
		})
		return
	}
	p.counters.Drop(transmitReason(err), 1)
	if err == unix.EMSGSIZE && p.events != nil {
		p.events.TooBig(p.out[at].Data)
	}
}

package unixport

import (
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/descriptor"
	"github.com/podswitch/podswitch/internal/handover"
	"github.com/podswitch/podswitch/vswitch"
)

// greeting is the datagram that vfkit sends before its first frame, so that the other side learns its address.
const greeting = "VFKT"

// maxEmpty is the largest number of consecutive empty packets that a peer may have sent before it hung up. After a seqpacket peer has hung
// up and all its packets are received, every further receive returns an empty packet, which looks like one from the peer
// (unix_dgram_recvmsg, net/unix/af_unix.c). ioctl(2) with FIONREAD could tell them apart; the sandbox does not allow it. So more than
// maxEmpty of them mean the end. A send buffer of the default size, 208 KiB, has room for 278 empty packets. maxEmpty is larger than a
// batch, so that no frame comes with the end.
const maxEmpty = 1024

// A dgramPort is a datagram or seqpacket socket, bound or connected. Each message is a frame, and one system call moves up to a batch.
type dgramPort struct {
	*device
	counters  *vswitch.Counters
	fixed     bool // the peer never changes
	connected bool // the kernel knows the peer
	ends      bool // SOCK_SEQPACKET: empty packets mean that the peer has hung up

	// The following belong to the goroutine that receives.
	reader     *descriptor.Reader[[]vswitch.Frame]
	rx         *datagrams
	lastSender address
	empty      int // consecutive empty packets received last, which are either the end or short frames
	nothing    int // consecutive attempts without a packet

	mu    sync.Mutex // guards the following, for transmitting
	peer  address
	tx    *datagrams
	out   []vswitch.Frame
	write func(fd uintptr)
	rest  func() // between two attempts to send to a peer that has no room
	rests int    // left for this Transmit
	stuck bool   // the peer had no room after the last rest
}

// A datagram socket has room for a few datagrams only (net.unix.max_dgram_qlen, 10 by default), less than one batch. A peer that reads all the
// time therefore gets a moment for each batch; poll(2) cannot wait for it, because it does not consider the queue of a peer to which the
// socket is not connected (unix_dgram_poll, net/unix/af_unix.c). The bound is two milliseconds for each Transmit: restTime and as much
// again for the kernel's timer. A peer that makes no room in that time gets no more of it until it reads again.
const (
	mostRests = 20
	restTime  = 50 * time.Microsecond
)

// restBriefly does not return to the scheduler, which would take longer than restTime.
func restBriefly() {
	pause := unix.NsecToTimespec(int64(restTime))
	_ = unix.Nanosleep(&pause, nil) // a signal ends it early, which does no harm
}

// newDgramPort returns a port that owns d. s and h were checked.
func newDgramPort(d *device, counters *vswitch.Counters, s Socket, h handover.Socket) *dgramPort {
	p := &dgramPort{device: d, counters: counters, rx: newReceiveDatagrams(), tx: newDatagrams(),
		fixed: s.Connected || s.Remote != "", connected: s.Connected, ends: s.Type == typePacket, rest: restBriefly}
	switch {
	case s.Remote != "":
		p.peer = addressOf(s.Remote)
	case len(h.Peer) > 0:
		p.lastSender = addressFrom(h.Peer)
		p.peer = p.lastSender
	}
	p.reader, p.write = descriptor.NewReader(d.Descriptor, p.readBatch), p.writeBatch
	return p
}

// Counters implements vswitch.Port.
func (p *dgramPort) Counters() *vswitch.Counters { return p.counters }

// Receive implements vswitch.Port.
func (p *dgramPort) Receive(batch []vswitch.Frame) (int, error) { return p.reader.Receive(batch) }

// readBatch is an Attempt (package descriptor). ECONNRESET and ECONNREFUSED are not the end: the kernel reports once that the peer has not
// read every frame, before it returns the peer's own packets.
func (p *dgramPort) readBatch(fd uintptr, batch []vswitch.Frame) (n int, wait bool, err error) {
	got, errno := p.rx.receive(fd, min(len(batch), vswitch.BatchSize))
	switch errno {
	case 0:
		p.nothing = 0
		n, err = p.decode(got, batch)
		return n, false, err
	case unix.EINTR, unix.ECONNRESET, unix.ECONNREFUSED:
		return 0, false, nil
	case unix.EAGAIN:
		if p.nothing++; p.nothing > mostNothing && p.hasHungUp() {
			return 0, false, errShutDown
		}
		return 0, true, nil
	}
	return 0, false, os.NewSyscallError("recvmmsg", errno)
}

// decode fills in batch from the received datagrams, and returns the number of frames. The error is io.EOF at the end.
func (p *dgramPort) decode(got int, batch []vswitch.Frame) (n int, err error) {
	var from *address
	for i := range got {
		data, sender, truncated := p.rx.datagram(i)
		if sender.usable() {
			from = sender
		}
		if len(data) == 0 && p.ends {
			p.empty++
			continue
		}
		p.dropEmpty()
		switch {
		case truncated:
			p.counters.Drop(vswitch.Truncated, 1)
		case string(data) == greeting:
		case len(data) < headerLen:
			p.counters.Drop(vswitch.Short, 1)
		default:
			batch[n] = vswitch.Frame{Data: data}
			n++
		}
	}
	p.learn(from)
	return n, p.judgeEmpty()
}

// judgeEmpty decides about the empty packets received last. While the peer is connected they are short frames. After it has hung up they
// are the end once there are more than maxEmpty, and on every later call.
func (p *dgramPort) judgeEmpty() error {
	switch {
	case p.empty == 0:
	case !p.hasHungUp():
		p.dropEmpty()
	case p.empty > maxEmpty:
		return io.EOF
	}
	return nil
}

// dropEmpty counts empty packets that are not the end as short frames.
func (p *dgramPort) dropEmpty() {
	if p.empty > 0 {
		p.counters.Drop(vswitch.Short, p.empty)
		p.empty = 0
	}
}

// learn makes the last sender the peer, unless the peer is fixed.
func (p *dgramPort) learn(from *address) {
	if p.fixed || from == nil || from.equal(&p.lastSender) {
		return
	}
	p.lastSender = *from
	p.mu.Lock()
	p.peer = p.lastSender
	p.mu.Unlock()
}

// Transmit implements vswitch.Port.
func (p *dgramPort) Transmit(batch []vswitch.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.connected && !p.peer.usable() {
		p.counters.Drop(vswitch.PortDown, len(batch))
		return
	}
	p.rests = mostRests
	for len(batch) > 0 {
		p.out, batch = nextBurst(batch, vswitch.BatchSize, p.counters)
		if !p.Descriptor.Transmit(p.write) {
			p.counters.Drop(vswitch.PortDown, len(p.out))
		}
	}
	p.out = nil
}

// waits reports whether another attempt may be made to send to a peer that has no room, after a rest.
func (p *dgramPort) waits() bool {
	if p.stuck || p.rests == 0 {
		p.stuck = true
		return false
	}
	p.rests--
	p.rest()
	return true
}

// writeBatch sends p.out. If the peer is absent or makes no room for a frame, writeBatch drops the rest of the batch too.
func (p *dgramPort) writeBatch(fd uintptr) {
	for i := range p.out {
		p.tx.set(i, &p.out[i], &p.peer)
	}
	frames, bytes := 0, 0
	for at := 0; at < len(p.out); {
		sent, err := p.tx.send(fd, at, len(p.out))
		if err == unix.EINTR || err == unix.EAGAIN && p.waits() {
			continue
		}
		if err != 0 {
			reason, lost := transmitReason(err), 1
			if reason == vswitch.PortFull || reason == vswitch.PortDown {
				lost = len(p.out) - at
			}
			p.counters.Drop(reason, lost)
			at += lost
			continue
		}
		p.stuck = false
		for _, f := range p.out[at : at+sent] {
			bytes += len(f.Data)
		}
		frames += sent
		at += sent
	}
	p.tx.forget(len(p.out))
	p.counters.Sent(frames, bytes)
}

// state implements stateful.
func (p *dgramPort) state() (handover.Socket, bool) {
	if !p.interrupted.Load() || p.closed.Load() {
		return handover.Socket{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fixed || !p.peer.usable() {
		return handover.Socket{}, true
	}
	return handover.Socket{Peer: p.peer.bytes()}, true
}

// Close implements vswitch.Port.
func (p *dgramPort) Close() error { return p.close() }

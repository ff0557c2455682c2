package fuzz

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"github.com/podswitch/podswitch/vnet"
	"github.com/podswitch/podswitch/vswitch"
)

// An input is one byte that chooses a configuration, and steps. A step is one byte that says what happens, and its operands:
//
//	raw     port, times, offload header (10), how many bytes are given (2), length of the frame (2), the bytes given; the
//	        rest of the frame counts up. With 128 added to times, the next raw step of the port is in the same batch
//	made    port, and what a frame is made of (frames_test.go)
//	wait    milliseconds (4)
//	pause   one of the times at which something changes
//	tick
//	hand    holder, MAC
//	scan    what, count, first host (2): many frames that differ in one address
//	static  port, MAC          a bridge's
//	forget  port               a bridge's
const (
	opRaw = iota
	opMade
	opWait
	opPause
	opTick
	opHand
	opScan
	opStatic
	opForget
	ops
)

// joinNext is added to the times of a raw frame.
const joinNext = 128

// maxSteps and maxWork keep one input short: so many bytes of frames, where a frame costs as much as frameWork of them. There
// is room for the mebibyte that may wait for neighbours, and to fill the tables three times.
const (
	maxSteps  = 400
	maxWork   = 5 << 18
	frameWork = 256
)

// A step is something that happens to a switch.
type step struct {
	op     int
	port   int
	frames []vswitch.Frame // one batch, whose frames may have their bytes in common
	wait   time.Duration
	holder vswitch.Holder
	mac    vswitch.MAC
}

// A world is what the frames of one configuration are made of.
type world struct {
	ports  int
	macs   func(port int) (from, to []vswitch.MAC) // the likely ones first
	ips    func(port int) (from, to []netip.Addr)
	holder []vswitch.MAC
	scan   func(what, n, first int) (port int, frames []vswitch.Frame)
}

// pauses are the times at which something changes, and a moment on either side: neighbours, ageing, the noting of use.
var pauses = []time.Duration{
	time.Millisecond, 99 * time.Millisecond, 100 * time.Millisecond, 999 * time.Millisecond, time.Second, 1001 * time.Millisecond,
	29 * time.Second, 30*time.Second - 1, 30 * time.Second, 59 * time.Second, time.Minute - 1, time.Minute, 300*time.Second - 1,
	300 * time.Second, time.Hour,
}

// decode reads the steps of an input.
func decode(r *reader, w world) (steps []step) {
	work, joined := 0, false
	for len(steps) < maxSteps && work < maxWork && !r.done() {
		s := step{op: r.byte() % ops}
		switch s.op {
		case opRaw:
			join := joined
			s.port, s.frames, joined = raw(r, w)
			if last := len(steps) - 1; join && last >= 0 && steps[last].op == opRaw && steps[last].port == s.port {
				s.frames = append(steps[last].frames, s.frames...)
				steps = steps[:last]
			}
		case opMade:
			s.port = r.byte() % w.ports
			s.frames = []vswitch.Frame{makeFrame(r, w, s.port)}
		case opWait:
			s.wait = time.Duration(r.number()) * time.Millisecond
		case opPause:
			s.wait = choose(r, pauses...)
		case opHand:
			s.holder = vswitch.Holder(r.byte() % 3)
			s.mac = r.mac(w.holder...)
		case opScan:
			what, n := r.byte(), r.byte()
			s.port, s.frames = w.scan(what, n, r.word())
		case opStatic:
			s.port = r.byte()%(w.ports+1) - 1
			from, _ := w.macs(0)
			s.mac = r.mac(from...)
		case opForget:
			s.port = r.byte() % w.ports
		}
		for _, f := range s.frames {
			work += frameWork + len(f.Data)
		}
		steps = append(steps, s)
	}
	return steps
}

// raw reads a frame byte for byte, and as many of it as a batch may have.
func raw(r *reader, w world) (port int, frames []vswitch.Frame, joined bool) {
	port = r.byte() % w.ports
	times := r.byte()
	joined = times >= joinNext
	times = max(1, times%joinNext%(vswitch.BatchSize+1))
	h, given, total := r.header(), r.word(), r.word()
	data := r.bytes(min(given, len(r.left)))
	if len(data) < total {
		data = append(data, counting[len(data):total]...)
	}
	for range times {
		frames = append(frames, vswitch.Frame{Offload: h, Data: slices.Clip(data)})
	}
	return port, frames, joined
}

// counting are all bytes in their order, again and again.
var counting = func() (b []byte) {
	for n := range 1 << 16 {
		b = append(b, byte(n))
	}
	return b
}()

// The writer's side of the above.

// raw writes a frame; a payload of zeros counts up instead, but for its beginning, which keeps the seed short.
func (w *writer) raw(port, times int, f vswitch.Frame) {
	given := len(bytes.TrimRight(f.Data, "\x00"))
	if given += 16; given > len(f.Data) {
		for given = len(f.Data); given > 0 && f.Data[given-1] == byte(given-1); {
			given--
		}
	}
	w.byte(opRaw, port, times)
	w.header(f.Offload)
	w.word(given)
	w.word(len(f.Data))
	w.b = append(w.b, f.Data[:given]...)
}

func (w *writer) wait(d time.Duration) {
	w.byte(opWait)
	w.number(int(d / time.Millisecond))
}

func (w *writer) tick() { w.byte(opTick) }

func (w *writer) hand(h vswitch.Holder, mac vswitch.MAC) {
	w.byte(opHand, int(h), 0xff)
	w.b = append(w.b, mac[:]...)
}

func (w *writer) scan(what, n, first int) {
	w.byte(opScan, what, n)
	w.word(first)
}

func (w *writer) static(port int, mac vswitch.MAC) {
	w.byte(opStatic, port+1, 0xff)
	w.b = append(w.b, mac[:]...)
}

func (w *writer) forget(port int) { w.byte(opForget, port) }

// none is the offload header of a frame with no work left undone.
var none = vnet.Header{}

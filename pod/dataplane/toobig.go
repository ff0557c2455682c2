package dataplane

import (
	"bytes"
	"sync"

	"github.com/podswitch/podswitch/vswitch"
)

// The device refuses frames above an MTU that was lowered some milliseconds ago (EMSGSIZE), until the keeper has told the new one. Their senders get
// the ICMP error then.

// tooBigLimit bounds the frames that wait for it; the newest ones stay.
const tooBigLimit = 16

// tooBigFrames are copies of frames that the uplink has refused.
type tooBigFrames struct {
	wake chan struct{} // a value: there may be something to answer

	mu     sync.Mutex
	frames [][]byte
}

// add keeps a copy of a frame. Any goroutine may call it.
func (t *tooBigFrames) add(frame []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.frames) == tooBigLimit {
		t.frames = append(t.frames[:0], t.frames[1:]...)
	}
	t.frames = append(t.frames, bytes.Clone(frame))
	t.note()
}

// note makes background answer.
func (t *tooBigFrames) note() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// answer calls answered for each frame, and keeps those for which it reports false.
func (t *tooBigFrames) answer(answered func(frame []byte) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var left [][]byte
	for _, f := range t.frames {
		if !answered(f) {
			left = append(left, f)
		}
	}
	t.frames = left
}

// answerTooBig sends ICMP errors for the frames whose MTU is known by now.
func (d *delegation) answerTooBig() {
	out := vswitch.NewOut(len(d.ports), new(vswitch.Counters))
	d.tooBig.answer(func(frame []byte) bool { return d.delegate.TooBig(frame, out) })
	out.Flush(func(port int, frames []vswitch.Frame) { d.ports[port].Transmit(frames) })
}

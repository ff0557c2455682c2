package fuzz

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/replay"
	"github.com/podswitch/podswitch/vswitch"
)

// recorded returns the steps as packets of a capture. A capture cannot express changes of a bridge's table by SetStatic and Forget.
func recorded(steps []step, ports []string) (all []replay.Packet) {
	var now time.Duration
	for _, s := range steps {
		switch s.op {
		case opRaw, opMade, opScan:
			for _, f := range s.frames {
				all = append(all, replay.Packet{Port: ports[s.port], Time: replay.At(now), Frame: f})
			}
		case opWait, opPause:
			now += s.wait
		case opTick:
			all = append(all, replay.Packet{Time: replay.At(now), Event: &replay.Event{Tick: true}})
		case opHand:
			all = append(all, replay.Packet{Time: replay.At(now), Event: &replay.Event{Holder: s.holder, MAC: s.mac}})
		}
	}
	return all
}

// saved writes the steps as a capture and returns a message with its path.
func (r *rig) saved() string {
	file, err := os.CreateTemp("", strings.ReplaceAll(r.t.Name(), "/", "-")+"-*.pcapng")
	if err == nil {
		err = errors.Join(replay.Write(file, r.setup, recorded(r.steps, r.setup.Ports())), file.Close())
	}
	if err != nil {
		return fmt.Sprintf("cannot save the frames: %v", err)
	}
	return "to see it: podswitch replay " + file.Name()
}

// TestCapture replays a saved capture and compares the counts of frames.
func TestCapture(t *testing.T) {
	cfg := delegate(0)
	d := newDelegateRig(t, newDesk(), cfg)
	data := append(ethernet(routerMAC, guestMAC, 0x0800), udpPacket(cfg.Address.Addr().As4(), [4]byte{10, 244, 1, 1})...)
	for range 3 {
		d.do(step{op: opHand, holder: vswitch.HolderGuest, mac: guestMAC})
		d.do(step{op: opRaw, port: vswitch.PortGuest, frames: []vswitch.Frame{{Data: slices.Clone(data)}}})
		d.do(step{op: opWait, wait: time.Second})
		d.do(step{op: opTick})
	}
	message := d.saved()
	path := message[strings.LastIndex(message, " ")+1:]
	defer os.Remove(path)
	file, err := os.Open(path)
	if err != nil {
		t.Fatalf("%s: %v", message, err)
	}
	defer file.Close()
	capture, err := replay.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	player, err := replay.NewPlayer(replay.Options{Setup: *capture.Setup(), Exact: true})
	if err != nil {
		t.Fatal(err)
	}
	for range recorded(d.steps, d.setup.Ports()) {
		p, err := capture.Next()
		if err != nil {
			t.Fatal(err)
		}
		player.Play(&p)
	}
	player.Finish()
	if s := player.Summary(); s.Frames != d.in || s.Dropped != d.dropped || s.Sent != d.in-d.dropped-d.noted-d.oracle.Held() {
		t.Errorf("replayed: %s; originally %d frames entered and %d were dropped", s, d.in, d.dropped)
	}
}

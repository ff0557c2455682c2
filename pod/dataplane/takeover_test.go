package dataplane

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// TestTakeover: what a switch has learned is what the next one knows, and what the same one knows that goes on after all.
func TestTakeover(t *testing.T) {
	mac := vswitch.MAC{2, 0, 0, 0, 0, 9}
	for name, d := range map[string]*pod{"delegation": newPod(t, delegatePlan(t)), "learning switch": newPod(t, nil)} {
		t.Run(name, func(t *testing.T) {
			first := d.start(false, nil)
			first.works(nil)
			if _, err := d.ends[0].Write(announcement(mac)); err != nil {
				t.Fatal(err)
			}
			answered := d.ends[0] // the router answers the guest; a learning switch floods to the wire
			if d.plan == nil {
				answered = d.ends[1]
			}
			_ = answered.SetReadDeadline(time.Now().Add(patience))
			if _, err := answered.Read(make([]byte, 1514)); err != nil {
				t.Fatal(err)
			}
			learned := first.yields()
			first.opens() // the next one has failed
			first.say(grant.Message{Go: &grant.Go{Snapshot: learned}})
			first.hears("started")
			again := first.yields()
			sameSnapshot(t, learned, again)
			next := d.start(true, nil)
			next.works(again)
			first.Close()
			first.ends("")
			sameSnapshot(t, again, next.yields())
			next.Close()
			next.ends("")
		})
	}
}

// announcement is an ARP request for the pod's gateway, as a guest with the pod address sends it.
func announcement(mac vswitch.MAC) []byte {
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac[:]...)
	frame = append(frame, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	frame = append(append(frame, mac[:]...), 10, 244, 1, 7, 0, 0, 0, 0, 0, 0, 10, 244, 1, 1)
	return append(frame, make([]byte, 60-len(frame))...)
}

// sameSnapshot compares what two switches have learned, but for how long ago; and what they have counted, but for the stacks of a
// delegation, which ask once a second who is there.
func sameSnapshot(t *testing.T, before, after json.RawMessage) {
	t.Helper()
	var snapshots [2]snapshot
	for i, text := range []json.RawMessage{before, after} {
		if err := json.Unmarshal(text, &snapshots[i]); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if ports := snapshots[i].Ports; snapshots[i].Address != nil {
			if len(ports) != 4 || ports[0].Counters.RxFrames != 1 {
				t.Errorf("the ports are %+v", ports)
			}
			snapshots[i].Ports = nil
		}
	}
	ages := cmp.FilterValues(func(a, b time.Duration) bool { return (b - a).Abs() < time.Minute }, cmp.Ignore())
	unexported := cmp.FilterPath(func(p cmp.Path) bool {
		name := p.Last().String()
		return name == ".files" || name == ".owners" || name == ".rests"
	}, cmp.Ignore())
	if diff := cmp.Diff(snapshots[0], snapshots[1], ages, unexported, cmp.AllowUnexported(snapshot{}), cmp.Comparer(func(a, b vswitch.MAC) bool { return a == b })); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

package dataplane

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// TestTakeover: the next switch has the state of the one before, and so has the same switch after a takeover that failed.
func TestTakeover(t *testing.T) {
	mac := vswitch.MAC{2, 0, 0, 0, 0, 9}
	for name, d := range map[string]*pod{"delegation": newPod(t, delegatePlan(t)), "learning switch": newPod(t, nil)} {
		t.Run(name, func(t *testing.T) {
			first := d.start(false, nil)
			first.reachWork(nil)
			if _, err := d.ends[0].Write(announcement(mac)); err != nil {
				t.Fatal(err)
			}
			answered := d.ends[0] // a delegation answers the guest; a learning switch floods to the wire
			if d.plan == nil {
				answered = d.ends[1]
			}
			_ = answered.SetReadDeadline(time.Now().Add(timeout))
			if _, err := answered.Read(make([]byte, 1514)); err != nil {
				t.Fatal(err)
			}
			learned := first.yield()
			first.sendPorts() // the takeover has failed
			first.send(grant.Message{Begin: &grant.Begin{Snapshot: learned}})
			first.expect("started")
			again := first.yield()
			sameSnapshot(t, learned, again)
			next := d.start(true, nil)
			next.reachWork(again)
			first.Close()
			first.expectEnd("")
			sameSnapshot(t, again, next.yield())
			next.Close()
			next.expectEnd("")
		})
	}
}

// announcement returns an ARP request for the gateway from a guest with the pod address.
func announcement(mac vswitch.MAC) []byte {
	frame := append([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac[:]...)
	frame = append(frame, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1)
	frame = append(append(frame, mac[:]...), 10, 244, 1, 7, 0, 0, 0, 0, 0, 0, 10, 244, 1, 1)
	return append(frame, make([]byte, 60-len(frame))...)
}

// sameSnapshot compares two snapshots. It ignores ages, and the counters of a delegation, whose endpoint sends a probe each second.
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
		return name == ".files" || name == ".owners" || name == ".pending"
	}, cmp.Ignore())
	if diff := cmp.Diff(snapshots[0], snapshots[1], ages, unexported, cmp.AllowUnexported(snapshot{}, addressState{}), cmp.Comparer(func(a, b vswitch.MAC) bool { return a == b })); diff != "" {
		t.Errorf("-before +after:\n%s", diff)
	}
}

package keeper

import (
	"errors"
	"os"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/tap"
	"github.com/podswitch/podswitch/vswitch"
)

// TestKernelThatSpoilsDatagrams checks that the grant tells a switch to merge no UDP where the kernel is at fault or cannot be asked, with one
// message, and that it is not asked where nothing is merged.
func TestKernelThatSpoilsDatagrams(t *testing.T) {
	for _, test := range []struct {
		name    string
		noMerge bool
		can     tap.Merging
		want    bool
		logged  int
	}{
		{"sound", false, tap.MergeDatagrams, false, 0},
		{"at fault", false, tap.MergeSegments, true, 1},
		{"not asked", true, tap.MergeSegments, false, 0},
	} {
		core, logs := observer.New(zap.InfoLevel)
		r := &resources{cfg: &Config{Switch: &SwitchConfig{NoMerge: test.noMerge}, Log: zap.New(core)}, bridge: &vswitch.BridgeConfig{Ports: 2}}
		r.askKernel(func() (tap.Merging, error) { return test.can, errors.New("it spoils datagram 3 of 3") })
		g := r.grant(nil, 1).Grant
		if g.NoMergeUDP != test.want || g.NoMerge != test.noMerge || logs.FilterMessage("UDP datagrams are not merged").Len() != test.logged {
			t.Errorf("%s: the grant has NoMergeUDP %t and NoMerge %t, and the log %v", test.name, g.NoMergeUDP, g.NoMerge, logs.All())
		}
	}
}

// TestQueueOfDatagramSockets checks that a keeper makes the queues of datagram sockets of its network namespace longer, before it binds one.
func TestQueueOfDatagramSockets(t *testing.T) {
	k := newPodKeeper(t, hypervisor.Attachment{Kind: hypervisor.KindDgram})
	const file = "/proc/sys/net/unix/max_dgram_qlen"
	if err := os.WriteFile(file, []byte("10"), 0o644); err != nil {
		t.Skipf("needs a writable %s: %v", file, err)
	}
	f := k.connect()
	f.sends(helloMessage())
	f.receives("grant", 1)
	if text, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(text)) != "512" {
		t.Errorf("the queue has a length of %q, %v; want 512", text, err)
	}
	f.Close()
}

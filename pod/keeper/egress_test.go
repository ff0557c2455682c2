package keeper

import (
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/podswitch/podswitch/pod/hypervisor"
	"github.com/podswitch/podswitch/pod/podnet"
)

// TestEgressMayFail checks that a guest gets its network also if the way out of the pod's processes cannot be opened.
func TestEgressMayFail(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	r := &resources{cfg: &Config{Log: zap.New(core), Switch: &SwitchConfig{NoMerge: true}}, lent: true}
	bad := portSpec{name: "egress", spec: hypervisor.Attachment{Kind: hypervisor.KindTap, Name: "a-name-that-is-too-long"}, egress: &podnet.Egress{}}
	if err := r.openAll(bad); err != nil || len(r.ports) != 1 || r.ports[0].handle != nil {
		t.Fatalf("%v, %+v", err, r.ports)
	}
	if logs.FilterMessageSnippet("do not reach other hosts").Len() != 1 {
		t.Errorf("log: %v", logs.All())
	}
	bad.egress = nil
	if err := r.openAll(bad); err == nil {
		t.Error("another port may fail, too")
	}
}

package dataplane

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/podswitch/podswitch/pod/grant"
	"github.com/podswitch/podswitch/vswitch"
)

// TestUnknownOffloadWarnsOnce checks that the log has one warning for each port, with the remedy for its side.
func TestUnknownOffloadWarnsOnce(t *testing.T) {
	for index, remedy := range map[int]string{vswitch.PortGuest: "host_ufo=off", vswitch.PortUplink: "ethtool -K DEVICE"} {
		core, seen := observer.New(zapcore.DebugLevel)
		dev := newDevice(nil, index, grant.Port{Spec: "packet:eth0"}, zap.New(core))
		for range 3 {
			dev.UnknownOffload()
		}
		if n := seen.Len(); n != 1 {
			t.Fatalf("port %d: %d entries, want 1", index, n)
		}
		entry := seen.All()[0]
		fields := entry.ContextMap()
		if got, _ := fields["remedy"].(string); entry.Level != zapcore.WarnLevel || !strings.Contains(got, remedy) ||
			fields["counter"] != "receive-error" || fields["port"] != "packet:eth0" {
			t.Errorf("port %d: %s %v, want a warning with %q", index, entry.Level, fields, remedy)
		}
	}
}

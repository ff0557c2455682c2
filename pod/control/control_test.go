package control

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/podswitch/podswitch/host/unixsocket"
	"github.com/podswitch/podswitch/vswitch"
)

// serving runs a server and returns its socket's path.
func serving(t testing.TB, s Source) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sub", "control.sock")
	l, err := unixsocket.Listen(unixsocket.Spec{Path: path, Owner: -1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- Serve(ctx, l, s) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return path
}

func TestRoundTrip(t *testing.T) {
	counters := new(vswitch.Counters)
	counters.Sent(3, 180)
	counters.Drop(vswitch.VLAN, 2)
	status := Status{
		Holder: "guest", Address: "10.244.1.7/24", WireMAC: vswitch.MAC{2, 0, 0, 0, 0, 1}, MTU: 1450,
		Lease:     &Lease{MAC: vswitch.MAC{2, 0, 0, 0, 0, 2}, HostName: "vm", Expires: time.Unix(1800000000, 0).UTC()},
		Ports:     []Port{NewPort("guest", "tap", LinkUp, counters)},
		KeeperPID: 7, SwitchPID: 8, Sandbox: "seccomp 41 calls, landlock 7", Takeovers: 2,
	}
	stations := []Station{{MAC: vswitch.MAC{2, 0, 0, 0, 0, 3}, Port: "tap0", Age: 1.5}}
	path := serving(t, Source{Status: func() Status { return status }, Stations: func() []Station { return stations }})
	var gotStatus Status
	if err := Get(t.Context(), path, StatusPath, &gotStatus); err != nil || !reflect.DeepEqual(gotStatus, status) {
		t.Errorf("status %+v, %v; want %+v", gotStatus, err, status)
	}
	var gotStations []Station
	if err := Get(t.Context(), path, StationsPath, &gotStations); err != nil || !reflect.DeepEqual(gotStations, stations) {
		t.Errorf("stations %+v, %v; want %+v", gotStations, err, stations)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("socket mode %v, %v; want 0600", info.Mode(), err)
	}
}

// TestNoStations checks the error of a switch without a forwarding database.
func TestNoStations(t *testing.T) {
	path := serving(t, Source{Status: func() Status { return Status{} }})
	waiting := serving(t, Source{Status: func() Status { return Status{Waiting: true} }})
	var stations []Station
	for path, want := range map[string]string{path: "does not learn", waiting: "the keeper waits for a switch"} {
		if err := Get(t.Context(), path, StationsPath, &stations); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
}

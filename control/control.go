// Package control is the unix socket that shows the state of a running podswitch: HTTP with JSON bodies, read-only.
//
// Each request is answered from a snapshot; a slow reader holds nothing up but itself, and only for so long.
package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/podswitch/podswitch/missing"
	"github.com/podswitch/podswitch/vswitch"
)

// A Status is what `podswitch status` shows.
type Status struct {
	Holder    string      `json:"holder"`  // kernel, switch or guest; of a plain switch: kernel
	Address   string      `json:"address"` // the pod address with its prefix length; empty: there is none
	Gateway   string      `json:"gateway"` // empty: there is none
	WireMAC   vswitch.MAC `json:"wire_mac"`
	RouterMAC vswitch.MAC `json:"router_mac"`
	MTU       int         `json:"mtu"`   // bytes of IP packet
	Lease     *Lease      `json:"lease"` // null: nobody has one
	Ports     []Port      `json:"ports"`
}

// A Lease is the guest's.
type Lease struct {
	MAC      vswitch.MAC `json:"mac"`
	HostName string      `json:"hostname"`
	Expires  time.Time   `json:"expires"`
}

// A Port shows the counters of one port; a frame that is still to be segmented counts once.
type Port struct {
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	RxFrames uint64            `json:"rx_frames"`
	RxBytes  uint64            `json:"rx_bytes"`
	TxFrames uint64            `json:"tx_frames"`
	TxBytes  uint64            `json:"tx_bytes"`
	Drops    map[string]uint64 `json:"drops"`
}

// NewPort takes a snapshot of counters.
func NewPort(name, kind string, c *vswitch.Counters) Port {
	return Port{
		Name: name, Kind: kind,
		RxFrames: c.RxFrames.Load(), RxBytes: c.RxBytes.Load(),
		TxFrames: c.TxFrames.Load(), TxBytes: c.TxBytes.Load(),
		Drops: c.Drops(),
	}
}

// A Station is an entry of a learning switch's forwarding database.
type Station struct {
	MAC    vswitch.MAC `json:"mac"`
	Port   string      `json:"port"`
	Age    float64     `json:"age_seconds"` // since it was last heard
	Static bool        `json:"static"`
}

// A Source tells the state of what runs. Both functions may be called at any time, from any goroutine.
type Source struct {
	Status   func() Status
	Stations func() []Station // nil: there is no forwarding database
}

// The resources of the socket.
const (
	StatusPath   = "/status"
	StationsPath = "/fdb"
)

// A PathError says that the socket cannot be at a path.
type PathError struct{ Path, Why string }

func (e *PathError) Error() string { return fmt.Sprintf("control socket %s: %s", e.Path, e.Why) }

// maxPath is the longest path of a unix socket in bytes (unix(7)); one is for the NUL.
const maxPath = 108 - 1

// Listen makes the socket, readable and writable by its owner alone. A socket that nobody listens to any more is replaced.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, &PathError{path, fmt.Sprintf("the path has %d bytes, at most %d are possible", len(path), maxPath)}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	old := syscall.Umask(0o177)
	defer syscall.Umask(old)
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket %s: %w", path, err)
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("control socket %s: %w", path, err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return &PathError{path, "exists and is not a socket; name another path with --control"}
	}
	if c, err := net.Dial("unix", path); err == nil {
		c.Close()
		return &missing.Error{What: "control socket " + path, Need: "a path that no other process listens on",
			Give: "stop the other podswitch, or name another path with --control"}
	}
	return os.Remove(path)
}

// Serve answers on l until ctx is done, and then returns nil.
func Serve(ctx context.Context, l net.Listener, s Source) error {
	server := &http.Server{Handler: handler(s), ReadTimeout: 2 * time.Second, WriteTimeout: 2 * time.Second,
		IdleTimeout: 2 * time.Second, MaxHeaderBytes: 4 << 10}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("control socket: %w", err)
	}
	return nil
}

func handler(s Source) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+StatusPath, func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Status()) })
	mux.HandleFunc("GET "+StationsPath, func(w http.ResponseWriter, _ *http.Request) {
		if s.Stations == nil {
			http.Error(w, "no forwarding database: in IP mode the switch does not learn", http.StatusNotFound)
			return
		}
		reply(w, s.Stations())
	})
	return mux
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // a reader that went away is its own loss
}

// Get reads a resource of the podswitch that listens at path into v.
func Get(ctx context.Context, path, resource string, v any) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		},
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://podswitch"+resource, nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		var cause *net.OpError
		if errors.As(err, &cause) {
			err = cause.Err
		}
		return fmt.Errorf("no podswitch answers at %s (name its socket with --control): %w", path, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("%s: %s", path, text)
	}
	return json.NewDecoder(response.Body).Decode(v)
}

package podnet

// This file reads and writes the state file. A crash or a full disk leaves the old content or the new one, never a part: the new content
// is written to a temporary file, synced, and renamed (rename(2), fsync(2)).

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/podswitch/podswitch/host/missing"
)

const (
	stateName    = "state.json"
	stateVersion = 2        // version 1 had IPv4 only, and is read
	stateLimit   = 64 << 20 // bytes, of a file that is written or read; a route has about 200, and the record of a pod a few thousand
)

// A record is the content of the state file.
type record struct {
	Version  int           `json:"version"`
	Pod      *Identity     `json:"pod"`
	Uptime   time.Duration `json:"uptime_ns"`           // monotonic clock at the time of the record, for the lifetimes of addresses
	TakenMTU int           `json:"taken_mtu,omitempty"` // of the link at the take; 0: it has not changed since
	Sysctls  []sysctl      `json:"sysctls,omitempty"`   // the values before the silence
}

func newRecord(id *Identity) *record {
	return &record{Version: stateVersion, Pod: id, Uptime: id.readAt}
}

// uptime reads CLOCK_MONOTONIC. Like the kernel's address lifetimes, it does not advance while the machine is suspended
// (clock_gettime(2)).
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func statePath(dir string) string { return filepath.Join(dir, stateName) }

// parseRecord decodes the content of a state file. For any input, the result is an error or a record that passes check.
func parseRecord(text []byte) (*record, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var r record
	if err := decoder.Decode(&r); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("data follows the JSON object")
	}
	if r.Version < 1 || r.Version > stateVersion {
		return nil, fmt.Errorf("version is %d, want 1 to %d", r.Version, stateVersion)
	}
	r.Version = stateVersion
	if err := r.check(); err != nil {
		return &r, err
	}
	r.Pod.readAt = r.Uptime
	return &r, nil
}

// readRecord returns an error that wraps fs.ErrNotExist if there is no state file.
func readRecord(dir string) (*record, error) { return readRecordAt(statePath(dir)) }

func readRecordAt(path string) (*record, error) {
	f, err := OpenOwned(path)
	if errors.Is(err, errNotOwned) {
		return nil, fmt.Errorf("no valid state file: %w (if the interface is complete, remove the file)", err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the state file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, stateLimit+1))
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	r, err := parseRecord(text)
	if len(text) > stateLimit {
		err = fmt.Errorf("it is larger than %d bytes", stateLimit)
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no valid state file: %w (if the interface is complete, remove the file)",
			path, err)
	}
	return r, nil
}

// OpenOwned opens a regular file in a state directory for reading. Other users may be able to write to the directory, such as a shared volume:
// the file must belong to root or to this process's user. A link is not followed, and a FIFO does not block the call.
func OpenOwned(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if err := checkOwned(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return f, nil
}

// errNotOwned means that another user may have written a file.
var errNotOwned = errors.New("not a file of this podswitch")

// checkOwned returns an error unless f is a regular file of this process's user or of root.
func checkOwned(f *os.File) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return os.NewSyscallError("fstat", err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("%w: it is no regular file", errNotOwned)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%w: it belongs to user %d, and podswitch runs as user %d", errNotOwned, st.Uid, os.Geteuid())
	case st.Mode&unix.S_IWOTH != 0:
		return fmt.Errorf("%w: every user can write to it", errNotOwned)
	}
	return nil
}

// stateExists reports whether dir has a state file, valid or not.
func stateExists(dir string) (bool, error) {
	switch _, err := os.Lstat(statePath(dir)); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, fmt.Errorf("stat the state file: %w", err)
	}
}

// writeRecord replaces the state file. After it returns nil, the record survives a crash of the machine. If it fails, the earlier state
// file is unchanged.
func writeRecord(dir string, r *record) error {
	err := replaceStateFile(dir, r)
	if err == nil {
		return nil
	}
	what := fmt.Sprintf("write the state file in %s (it needs a few kilobytes, and 200 bytes for each route)", dir)
	if lacks := missing.Directory(what, "name another directory with --state-dir", err); lacks != nil {
		return lacks
	}
	return fmt.Errorf("%s: %w", what, err)
}

func replaceStateFile(dir string, r *record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if len(text) >= stateLimit {
		return fmt.Errorf("%d routes and %d neighbours need %d bytes, want less than %d", len(r.Pod.Routes), len(r.Pod.Neighbours), len(text), stateLimit)
	}
	if err := makeStateDir(dir); err != nil {
		return err
	}
	temporary := statePath(dir) + ".new"
	// A crash may have left the file, and writeSynced refuses an existing one, so that it never follows a link.
	if err := os.Remove(temporary); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := writeSynced(temporary, append(text, '\n')); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	if err := os.Rename(temporary, statePath(dir)); err != nil {
		_ = os.Remove(temporary)
		return err
	}
	return syncDir(dir)
}

func writeSynced(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

// removeRecord removes the state file: from here on the kernel is the holder again.
func removeRecord(dir string) error {
	err := os.Remove(statePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = syncDir(dir)
	}
	return explain("remove the state file", err)
}

func makeStateDir(dir string) error { return os.MkdirAll(dir, 0o700) }

// syncDir makes renames and removals in a directory survive a crash of the machine (fsync(2)).
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

package podnet

// This file is the state file: how it is written so that a crash or a full disk leaves the old state or the new one, and
// what is believed of it when it is read back.

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
)

const (
	stateName    = "state.json"
	stateVersion = 1
	stateLimit   = 4 << 20 // bytes; a record of a pod has a few thousand
)

// A record is the content of the state file.
type record struct {
	Version int           `json:"version"`
	Pod     *Identity     `json:"pod"`
	Uptime  time.Duration `json:"uptime_ns"` // the monotonic clock when the record was made, for lifetimes
	Sysctls []sysctl      `json:"sysctls,omitempty"`
}

func newRecord(id *Identity) *record {
	return &record{Version: stateVersion, Pod: id, Uptime: uptime()}
}

// uptime reads the clock that the kernel's address lifetimes follow.
func uptime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}

func statePath(dir string) string { return filepath.Join(dir, stateName) }

// parseRecord reads a state file. Whatever the bytes are, the result is an error or a record that is safe to put back.
func parseRecord(text []byte) (*record, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	var r record
	if err := decoder.Decode(&r); err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return nil, errors.New("something follows the JSON object")
	}
	if r.Version != stateVersion {
		return nil, fmt.Errorf("version is %d, want %d", r.Version, stateVersion)
	}
	return &r, r.check()
}

// readRecord returns an error that is fs.ErrNotExist when there is no state file.
func readRecord(dir string) (*record, error) { return readRecordAt(statePath(dir)) }

func readRecordAt(path string) (*record, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("open the state file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, stateLimit))
	if err != nil {
		return nil, fmt.Errorf("read the state file: %w", err)
	}
	r, err := parseRecord(text)
	if err != nil {
		return nil, fmt.Errorf("%s is not a state file of this podswitch: %w; if the interface is as it should be, remove the file",
			path, err)
	}
	return r, nil
}

// stateExists tells whether dir has a state file, readable or not.
func stateExists(dir string) (bool, error) {
	switch _, err := os.Lstat(statePath(dir)); {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	default:
		return false, fmt.Errorf("look for a state file: %w", err)
	}
}

// writeRecord puts the record in place of any earlier one: after it returns nil the record survives a crash of the
// machine, and if it fails nothing has changed.
func writeRecord(dir string, r *record) error {
	if err := replaceFile(dir, r); err != nil {
		return fmt.Errorf("write the state file in %s, which needs a few kilobytes of room there: %w", dir, err)
	}
	return nil
}

func replaceFile(dir string, r *record) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := makeStateDir(dir); err != nil {
		return err
	}
	temporary := statePath(dir) + ".new"
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

// removeRecord ends the time in which the kernel may not be the holder.
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

// syncDir makes the names in a directory survive a crash of the machine.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

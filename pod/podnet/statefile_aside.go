package podnet

// A state directory may outlive a network namespace: for example, it is a volume of a pod whose sandbox was recreated. A process cannot
// see whether the namespace of a state file still exists. So a process in another namespace sets the state file aside: it renames the
// file to one that has the namespace's cookie in its name. A process that runs in the first namespace again finds it there.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const asidePrefix = "state-"

// asidePath is the path of a namespace's state file while it is set aside.
func asidePath(dir string, n Namespace) string {
	return filepath.Join(dir, fmt.Sprintf("%s%d.json", asidePrefix, n.Cookie))
}

// claimStateFile makes the state file of this namespace, if one exists, the state file of dir. It sets the state file of another
// namespace aside and returns its new path, or "" if there was none.
func claimStateFile(dir string, here Namespace) (aside string, err error) {
	if err := removeOldAsides(dir, here); err != nil {
		return "", err
	}
	record, err := readRecord(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	case !here.differsFrom(record.Pod.Namespace):
		// The file is already in place, and newer than a file of this namespace that is set aside.
		return "", removeStateFile(asidePath(dir, here))
	default:
		aside = asidePath(dir, record.Pod.Namespace)
		if err := renameStateFile(statePath(dir), aside); err != nil {
			return "", err
		}
	}
	err = renameStateFile(asidePath(dir, here), statePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return aside, err
}

// renameStateFile returns after the new name would survive a crash of the machine.
func renameStateFile(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("rename a state file: %w", err)
	}
	return explain("rename a state file", syncDir(filepath.Dir(to)))
}

// removeStateFile removes a file. A file that does not exist is not an error.
func removeStateFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a state file: %w", err)
	}
	return nil
}

// isSetAside reports whether the state file of this namespace is set aside.
func isSetAside(dir string, here Namespace) bool {
	_, err := os.Lstat(asidePath(dir, here))
	return err == nil
}

// removeOldAsides removes the files that were set aside before the last boot, because their namespaces no longer exist.
func removeOldAsides(dir string, here Namespace) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list the state files: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !strings.HasPrefix(e.Name(), asidePrefix) {
			continue
		}
		if record, err := readRecordAt(path); err != nil || !here.rebootedSince(record.Pod.Namespace) {
			continue // of this boot, or no state file at all
		}
		if err := removeStateFile(path); err != nil {
			return err
		}
	}
	return nil
}

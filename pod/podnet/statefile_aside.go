package podnet

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// A state directory may outlive a network namespace, as the volume of a pod whose sandbox was made anew: then the state file in it is
// about a namespace that nobody may be able to go to any more. Whether it is gone cannot be seen from here. So the file is set aside
// under a name of its own, and who starts or restores in that namespace after all finds it again, once the directory is free.

const asidePrefix = "state-"

// asidePath is where the state file of a namespace is while another namespace uses the directory.
func asidePath(dir string, n Namespace) string {
	return filepath.Join(dir, fmt.Sprintf("%s%d.json", asidePrefix, n.Cookie))
}

// apart tells whether two descriptions are surely of two namespaces of one boot. Cookies alone can say that.
func (n Namespace) apart(other Namespace) bool {
	return n.Cookie != 0 && other.Cookie != 0 && n.Cookie != other.Cookie && !n.earlierBoot(other)
}

// claim makes the state file in dir the one of this namespace, if that has one. The one of another namespace is set aside; claim returns
// where, or nothing if there was none.
func claim(dir string, here Namespace) (aside string, err error) {
	if err := dropAsides(dir, here); err != nil {
		return "", err
	}
	record, err := readRecord(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", err
	case !here.apart(record.Pod.Namespace):
		return "", dropState(asidePath(dir, here)) // an older one, of a program that did not know of this
	default:
		aside = asidePath(dir, record.Pod.Namespace)
		if err := moveState(statePath(dir), aside); err != nil {
			return "", err
		}
	}
	err = moveState(asidePath(dir, here), statePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return aside, err
}

// moveState renames a state file, so that it survives a crash of the machine.
func moveState(from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return fmt.Errorf("rename a state file: %w", err)
	}
	return explain("rename a state file", syncDir(filepath.Dir(to)))
}

// dropState removes a state file that is not needed any more, if it is there.
func dropState(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a state file: %w", err)
	}
	return nil
}

// isAside tells whether the state file of this namespace was set aside.
func isAside(dir string, here Namespace) bool {
	_, err := os.Lstat(asidePath(dir, here))
	return err == nil
}

// dropAsides removes what was set aside before the last boot: those namespaces are gone.
func dropAsides(dir string, here Namespace) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("look for state files: %w", err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if !strings.HasPrefix(e.Name(), asidePrefix) {
			continue
		}
		if record, err := readRecordAt(path); err != nil || !here.earlierBoot(record.Pod.Namespace) {
			continue // what it is, somebody else knows
		}
		if err := dropState(path); err != nil {
			return err
		}
	}
	return nil
}

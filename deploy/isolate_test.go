package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// containerVariable is the environment variable with the container that a child of the test becomes: an isolated, as JSON.
const containerVariable = "DEPLOY_CONTAINER"

// An isolated is a container as a runtime creates it from a security context. The process is already in its own mount and process
// namespaces.
type isolated struct {
	Root         string   // an empty directory
	Program      string   // mounted as /podswitch, as in the image
	Resolv       string   // text of /etc/resolv.conf
	Volumes      []bound  // bind mounts
	UID, GID     int      //
	Group        int      // fsGroup, the group of the volumes
	Capabilities []int    // all others are dropped
	Args         []string // of podswitch; if empty, the process is a hypervisor
	Socket       string   // that a hypervisor connects to
}

type bound struct{ Source, Target string }

// beContainer sets the container up as a runtime does, and then executes the program.
func beContainer(text string) int {
	runtime.LockOSThread() // capabilities belong to a thread
	var c isolated
	err := json.Unmarshal([]byte(text), &c)
	if err == nil {
		err = errors.Join(os.Unsetenv(containerVariable), c.files())
	}
	if err == nil {
		err = c.privileges()
	}
	if err == nil && len(c.Args) == 0 {
		err = hypervise(c.Socket)
	} else if err == nil {
		err = unix.Exec("/podswitch", append([]string{"/podswitch"}, c.Args...), []string{"PATH=/"})
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "container:", err)
		return 1
	}
	return 0
}

// files creates the read-only root of an image FROM scratch, with the volumes and the mounts that every runtime adds, and changes into it.
func (c *isolated) files() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("tmpfs", c.Root, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount the root: %w", err)
	}
	in := func(path string) string { return filepath.Join(c.Root, path) }
	var errs []error
	for _, folder := range []string{"proc", "sys", "dev", "etc"} {
		errs = append(errs, os.Mkdir(in(folder), 0o755))
	}
	errs = append(errs,
		os.WriteFile(in("etc/resolv.conf"), []byte(c.Resolv), 0o644),
		os.WriteFile(in("podswitch"), nil, 0o755),
		os.WriteFile(in("dev/null"), nil, 0o666),
		unix.Mount("proc", in("proc"), "proc", 0, ""),
		unix.Mount(in("proc/sys"), in("proc/sys"), "", unix.MS_BIND, ""),
		unix.Mount("", in("proc/sys"), "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
		unix.Mount("sysfs", in("sys"), "sysfs", unix.MS_RDONLY, ""),
		unix.Mount("/dev/null", in("dev/null"), "", unix.MS_BIND, ""),
		unix.Mount(c.Program, in("podswitch"), "", unix.MS_BIND, ""))
	for _, v := range c.Volumes {
		errs = append(errs, os.MkdirAll(in(v.Target), 0o755), unix.Mount(v.Source, in(v.Target), "", unix.MS_BIND, ""))
	}
	errs = append(errs,
		unix.Mount("", c.Root, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""),
		unix.Chroot(c.Root), unix.Chdir("/"))
	return errors.Join(errs...)
}

// privileges drops all privileges that the security context does not grant. No program regains them, because allowPrivilegeEscalation is
// false.
func (c *isolated) privileges() error {
	var errs []error
	for v := range uintptr(unix.CAP_LAST_CAP + 1) {
		if !slices.Contains(c.Capabilities, int(v)) {
			errs = append(errs, unix.Prctl(unix.PR_CAPBSET_DROP, v, 0, 0, 0))
		}
	}
	errs = append(errs, unix.Setgroups([]int{c.Group}), unix.Setresgid(c.GID, c.GID, c.GID), unix.Setresuid(c.UID, c.UID, c.UID))
	var sets [2]unix.CapUserData // 64 capabilities in two halves
	for _, v := range c.Capabilities {
		sets[v/32].Effective |= 1 << (v % 32)
		sets[v/32].Permitted |= 1 << (v % 32)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	errs = append(errs, unix.Capset(&header, &sets[0]), unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	return errors.Join(errs...)
}

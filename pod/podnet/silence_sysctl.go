package podnet

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/podswitch/podswitch/host/missing"
)

// A sysctl is a setting of the pod interface under net.ipv4.conf that silences the kernel where nf_tables cannot.
type sysctl struct {
	Name string `json:"name"`
	Was  string `json:"was"`
}

// silentSettings are the values to have: no ARP answer for any local address (arp_ignore 8), and no forwarding, because
// a host that does not forward sends no ICMP errors about what is not for it (ip_error in net/ipv4/route.c).
func silentSettings() []sysctl { return []sysctl{{"arp_ignore", "8"}, {"forwarding", "0"}} }

func (s sysctl) check() error {
	if !slices.ContainsFunc(silentSettings(), func(k sysctl) bool { return k.Name == s.Name }) {
		return fmt.Errorf("name: %q is none that podswitch changes", s.Name)
	}
	if s.Was == "" || strings.Trim(s.Was, "0123456789") != "" {
		return fmt.Errorf("was: %q, want a number", s.Was)
	}
	return nil
}

func sysctlPath(link, name string) string {
	return filepath.Join("/proc/sys/net/ipv4/conf", link, name)
}

// sysctlsToChange returns those that differ from silentSettings, with the values that they have.
func sysctlsToChange(link string) ([]sysctl, error) {
	var change []sysctl
	for _, want := range silentSettings() {
		text, err := os.ReadFile(sysctlPath(link, want.Name))
		if err != nil {
			return nil, fmt.Errorf("read the sysctl: %w", err)
		}
		if was := strings.TrimSpace(string(text)); was != want.Was {
			change = append(change, sysctl{want.Name, was})
		}
	}
	return change, nil
}

// silence gives the recorded sysctls their silent values.
func silence(link string, change []sysctl) error {
	for _, want := range silentSettings() {
		if !slices.ContainsFunc(change, func(s sysctl) bool { return s.Name == want.Name }) {
			continue
		}
		if err := writeSysctl(link, want); err != nil {
			return &missing.Error{
				What: "silence the pod's kernel on " + link,
				Need: "nf_tables with the netdev family, or a writable /proc/sys/net",
				Give: "load the kernel module nf_tables, or run the container privileged",
				Err:  err,
			}
		}
	}
	return nil
}

// restoreSysctls gives them their old values.
func restoreSysctls(link string, changed []sysctl) error {
	var errs []error
	for _, s := range changed {
		errs = append(errs, explain("restore the sysctl "+s.Name, writeSysctl(link, s)))
	}
	return errors.Join(errs...)
}

func writeSysctl(link string, s sysctl) error {
	// Not os.WriteFile, which would create what is not there.
	f, err := os.OpenFile(sysctlPath(link, s.Name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(s.Was)
	return errors.Join(err, f.Close())
}

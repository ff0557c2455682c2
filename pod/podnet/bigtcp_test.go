package podnet

import "testing"

// TestBigTCP checks that Discover finds a link whose TCP packets may have more than 64 KiB before they are segmented.
func TestBigTCP(t *testing.T) {
	for attribute, want := range map[string]bool{"gso_max_size 65536": false, "gso_max_size 131072": true, "gro_max_size 131072": true} {
		t.Run(attribute, func(t *testing.T) {
			p := newPod(t)
			p.ip("addr add 10.244.1.7/24 dev eth0\nlink set eth0 " + attribute)
			if got := p.discover().Link.BigTCP; got != want {
				t.Errorf("BigTCP = %v, want %v", got, want)
			}
		})
	}
}

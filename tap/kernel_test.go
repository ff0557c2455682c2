package tap

import "testing"

// TestIsSince: the releases that are at least 6.5.
func TestIsSince(t *testing.T) {
	for release, want := range map[string]bool{
		"6.5": true, "6.5.0": true, "6.5.0-rc1": true, "6.5-rc3": true, "6.5+": true, "6.10.3": true, "6.18.44-some-name": true,
		"7.0": true, "10.0": true,
		"6.4.16-18-amd64": false, "6.2": false, "5.14.0-427.el9.x86_64": false, "5.99": false, "2.6.62": false, "0.0": false,
		"": false, ".": false, "6": false, "6.": false, ".5": false, "6,5": false,
		"6.x": false, "x.6": false, "+6.5": false, "6.+5": false, "-6.5": false,
		"6.99999": false, "99999999999999999999.5": false, "６.5": false, "6.５": false,
		" 6.5": false, "6. 5": false, "v6.5": false, "6_6.5": false, "0x6.5": false,
	} {
		if got := isSince(release, 6, 5); got != want {
			t.Errorf("%q: %t, want %t", release, got, want)
		}
	}
}

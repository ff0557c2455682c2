package tap

import "testing"

func TestParseSpec(t *testing.T) {
	for text, ok := range map[string]bool{
		"tap:tap0": true, "packet:eth0": true, "tap:a-b.c_d": true, "tap:123456789012345": true,
		"": false, "tap0": false, "tap:": false, "tun:tun0": false, "tap:1234567890123456": false, "tap:a/b": false,
		"tap:a b": false, "tap:.": false, "tap:..": false, "tap:a:b": false,
	} {
		s, err := ParseSpec(text)
		if (err == nil) != ok {
			t.Errorf("%q: %v", text, err)
		}
		if err == nil && s.String() != text {
			t.Errorf("%q reads as %q", text, s)
		}
	}
}

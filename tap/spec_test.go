package tap

import "testing"

func TestCheckName(t *testing.T) {
	for name, ok := range map[string]bool{
		"tap0": true, "a-b.c_d": true, "123456789012345": true,
		"": false, "1234567890123456": false, "a/b": false, "a b": false, ".": false, "..": false, "a:b": false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("%q: %v", name, err)
		}
	}
}

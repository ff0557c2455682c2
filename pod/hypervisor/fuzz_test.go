package hypervisor

import (
	"strings"
	"testing"
	"unicode"
)

// FuzzAttachment checks that any text is rejected with an error of one line, or is an attachment that survives String and
// ParseAttachment, and whose names are valid devices, paths and numbers.
func FuzzAttachment(f *testing.F) {
	for _, seed := range []struct{ name, text string }{
		{"a tap", "tap:tap0"}, {"its other side", "packet:tap0"}, {"a stream socket", "stream:/run/vm.sock"},
		{"two datagram sockets", "dgram:/run/a,/run/b"}, {"one datagram socket", "dgram:/run/a"}, {"a descriptor", "fd:3"},
		{"nothing", ""}, {"no kind", ":x"}, {"no colon", "tap"}, {"an unknown kind", "vde:/run/x"}, {"no name", "tap:"},
		{"a name of 15 bytes", "tap:abcdefghijklmno"}, {"a name of 16 bytes", "tap:abcdefghijklmnop"},
		{"a pattern of the kernel", "tap:tap%d"}, {"a folder", "tap:.."}, {"a path as name", "tap:../../x"},
		{"white space in a name", "packet:tap 0"}, {"an escape in a name", "packet:\x1b[31m"},
		{"no path", "stream:"}, {"an abstract socket", "stream:@x"}, {"a path of 107 bytes", "stream:" + strings.Repeat("x", 107)},
		{"a path of 108 bytes", "stream:" + strings.Repeat("x", 108)}, {"a line break in a path", "stream:/run/a\nb"},
		{"three datagram sockets", "dgram:a,b,c"}, {"the same socket twice", "dgram:a,a"}, {"an empty second socket", "dgram:a,"},
		{"a negative descriptor", "fd:-1"}, {"a descriptor beyond an int", "fd:2147483648"}, {"the largest descriptor", "fd:2147483647"},
		{"a path with a comma", "stream:/run/a,b"},
	} {
		f.Add(seed.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAttachment(text)
		if err != nil {
			if a != (Attachment{}) || err.Error() == "" || strings.ContainsFunc(err.Error(), func(r rune) bool { return r == '\x1b' }) {
				t.Errorf("%q gives %+v and the error %q", text, a, err)
			}
			return
		}
		if again, err := ParseAttachment(a.String()); err != nil || again != a || a.String() != text {
			t.Fatalf("%q is %+v, and read again %+v, %v", text, a, again, err)
		}
		names := []string{a.Name}
		if local, remote, two := strings.Cut(a.Name, ","); two && a.Kind == KindDgram {
			names = []string{local, remote}
		}
		for _, name := range names {
			if name == "" || strings.ContainsFunc(name, unicode.IsControl) || len(name) > 107 {
				t.Errorf("%q passes", name)
			}
		}
		device := a.Kind == KindTap || a.Kind == KindPacket
		if device && (len(a.Name) > 15 || strings.ContainsAny(a.Name, "/:% \t\n") || a.Name == "..") {
			t.Errorf("%q passes", a.Name)
		}
	})
}

package model

import "testing"

func TestParseFamilies(t *testing.T) {
	for text, want := range map[string]Families{"ipv4": IPv4, "ipv6": IPv6, "ipv4,ipv6": AllFamilies, "ipv6, ipv4": AllFamilies} {
		got, err := ParseFamilies(text)
		if err != nil || got != want {
			t.Errorf("%q is %s, %v", text, got, err)
		}
		if again, err := ParseFamilies(got.String()); err != nil || again != got {
			t.Errorf("%s is read as %s, %v", got, again, err)
		}
	}
	for text, want := range map[string]string{
		"":          `family "": want ipv4, ipv6 or ipv4,ipv6`,
		"ipv4,":     `family "": want ipv4, ipv6 or ipv4,ipv6`,
		"IPv6":      `family "IPv6": want ipv4, ipv6 or ipv4,ipv6`,
		"ipv4,ipv5": `family "ipv5": want ipv4, ipv6 or ipv4,ipv6`,
		"ipv6,ipv6": `family "ipv6" twice: want ipv4, ipv6 or ipv4,ipv6`,
	} {
		if got, err := ParseFamilies(text); got != 0 || err == nil || err.Error() != want {
			t.Errorf("%q is %s, error %v, want %s", text, got, err, want)
		}
	}
	if got := Families(0).String(); got != "none" {
		t.Errorf("no family is %q", got)
	}
	if AllFamilies.Has(0) != true || IPv4.Has(AllFamilies) {
		t.Error("Has does not compare sets")
	}
}

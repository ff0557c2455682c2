package model

// The DHCP options that only podswitch's own format has.

import (
	"encoding/hex"
	"math"
	"slices"
	"strings"
)

// readBootFiles reads the boot files for some clients.
func readBootFiles(v value) (files []BootFile) {
	items, _ := v.items()
	for _, item := range items {
		if !item.object() {
			continue
		}
		item.closed("userClass", "architecture", "bootFileName")
		file := BootFile{UserClass: item.field("userClass").text(), Name: item.field("bootFileName").text()}
		field := item.field("architecture")
		switch number, ok := field.whole(); {
		case ok && (number < 0 || number > math.MaxUint16):
			field.fault("want 0 to %d, as in option 93 of the client", math.MaxUint16)
		case ok:
			architecture := uint16(number)
			file.Architecture = &architecture
		case file.UserClass == "" && field.data == nil:
			item.fault("must have a userClass or an architecture; for all other clients, use dhcpOptions.bootFileName")
		}
		if name := item.field("bootFileName"); file.Name == "" && name.isText() {
			name.fault("must be given: the file for these clients")
		}
		files = append(files, file)
	}
	return files
}

// readBootParameters reads the parameters of a boot file.
func readBootParameters(v value) (parameters []string) {
	items, _ := v.items()
	for _, item := range items {
		text := item.text()
		if text == "" && item.isText() {
			item.fault("must be a text that is not empty, as in console=ttyS0")
		}
		parameters = append(parameters, text)
	}
	return parameters
}

// readOptions reads options by number. Each code may occur once.
func readOptions(v value) (options []Option) {
	items, _ := v.items()
	var seen [math.MaxUint8 + 1]bool
	for _, item := range items {
		if !item.object() {
			continue
		}
		item.closed("option", "value", "hex")
		field := item.field("option")
		code, ok := field.whole()
		switch {
		case field.data == nil || ok && (code < 1 || code > 254):
			field.fault("want the number of a DHCP option, 1 to 254")
			ok = false
		case ok && seen[code]:
			field.fault("duplicate; keep one with option %d", code)
		case ok:
			seen[code] = true
			refuseOption(field, uint8(code))
		}
		if value := readOptionValue(item); ok {
			options = append(options, Option{Code: uint8(code), Value: value})
		}
	}
	return options
}

// refuseOption reports a fault for an option that has another source.
func refuseOption(field value, code uint8) {
	fields := map[uint8]string{12: "spec.hostname", 42: "dhcpOptions.ntpServers", 66: "dhcpOptions.tftpServerName", 67: "dhcpOptions.bootFileName"}
	switch {
	case fields[code] != "":
		field.fault("use %s for option %d", fields[code], code)
	case code >= 224:
		field.fault("use dhcpOptions.privateOptions for the options 224 to 254")
	case slices.Contains([]uint8{1, 3, 6, 15, 26, 28, 119, 121}, code):
		field.fault("option %d follows from the pod's network", code)
	case code >= 50 && code <= 61 && code != 60 || code == 77 || code == 82 || code == 93:
		field.fault("option %d belongs to the protocol, or only clients send it", code)
	}
}

// readOptionValue reads the value of an option, as text or in hexadecimal.
func readOptionValue(item value) string {
	text, digits := item.field("value"), item.field("hex")
	if (text.data == nil) == (digits.data == nil) {
		item.fault("must have either value, a text, or hex, bytes in hexadecimal")
		return ""
	}
	if text.data != nil {
		return text.text()
	}
	given := digits.text()
	bytes, err := hex.DecodeString(strings.NewReplacer(" ", "", ":", "").Replace(given))
	if digits.isText() && (err != nil || len(bytes) == 0) {
		digits.fault("want bytes in hexadecimal, as in 0af40109, not %s", show(given))
	}
	return string(bytes)
}

// bootFilesDocument returns dhcpOptions.clientBootFiles.
func bootFilesDocument(files []BootFile) (list []object) {
	for _, f := range files {
		o := object{}.addText("userClass", f.UserClass)
		if f.Architecture != nil {
			o = o.add("architecture", *f.Architecture)
		}
		list = append(list, o.add("bootFileName", f.Name))
	}
	return list
}

// optionsDocument returns dhcpOptions.options. It writes a value in hexadecimal unless all of its bytes are visible ASCII.
func optionsDocument(options []Option) (list []object) {
	for _, option := range options {
		o := object{}.add("option", option.Code)
		if option.Value != "" && strings.IndexFunc(option.Value, func(c rune) bool { return c <= ' ' || c > '~' }) < 0 {
			o = o.add("value", option.Value)
		} else {
			o = o.add("hex", hex.EncodeToString([]byte(option.Value)))
		}
		list = append(list, o)
	}
	return list
}

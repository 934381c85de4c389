package config

import (
	_ "embed"
	"encoding/json"
)

// Setting describes a variable that the gateway reads. settings.json is the one table of them: defaults come from it, and so
// does the gateway's part of docs/settings.md.
// Least and Most are the bounds of numbers and sizes.
type Setting struct{ Name, Type, Default, Least, Most, Meaning string }

//go:embed settings.json
var table []byte

// Settings are all variables that the gateway reads, by name.
var Settings = func() map[string]Setting {
	var list []Setting
	if err := json.Unmarshal(table, &list); err != nil {
		panic("settings.json: " + err.Error())
	}
	settings := make(map[string]Setting, len(list))
	for _, one := range list {
		settings[one.Name] = one
	}
	return settings
}()

//go:build weirbug_childearly

package service

const bugChildEarly = true

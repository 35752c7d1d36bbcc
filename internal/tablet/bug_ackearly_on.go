//go:build weirbug_ackearly

package tablet

const bugAckEarly = true

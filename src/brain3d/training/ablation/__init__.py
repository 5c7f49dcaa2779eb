"""The paper's ablation and ours, at embedded size, from one recipe: `brain3d ablate`."""

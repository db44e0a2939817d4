{
  description = "Continuous integration for Nix repositories on GitHub";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-unstable";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;
      systems = [
        "x86_64-linux"
        "aarch64-linux"
        "x86_64-darwin"
        "aarch64-darwin"
      ];
      forEachSystem = f: lib.genAttrs systems (system: f nixpkgs.legacyPackages.${system});
    in
    {
      packages = forEachSystem (pkgs: rec {
        ringmaster = pkgs.callPackage ./nix/package.nix { };
        default = ringmaster;
      });

      overlays.default = final: _previous: {
        ringmaster = final.callPackage ./nix/package.nix { };
      };

      # services.ringmaster: a server, or a part of one.
      nixosModules.default = ./nix/module.nix;

      # Everything the set-up would install; `npm ci && npm test` works in it.
      devShells = forEachSystem (pkgs: {
        default = pkgs.mkShell {
          packages = [
            pkgs.nodejs_22
            pkgs.git
            pkgs.nix-eval-jobs
            pkgs.openssh
            pkgs.postgresql_18
            pkgs.xz
          ]
          ++ lib.optionals pkgs.stdenv.hostPlatform.isLinux [
            pkgs.bubblewrap
            pkgs.busybox-sandbox-shell
            pkgs.chromium
          ];
        };
      });

      checks = forEachSystem (pkgs: {
        package = self.packages.${pkgs.stdenv.hostPlatform.system}.default;
      });

      formatter = forEachSystem (pkgs: pkgs.nixfmt-rfc-style);
    };
}
